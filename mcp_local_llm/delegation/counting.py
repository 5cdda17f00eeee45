"""Counts tokens before a prefill, and says what helps where a text is too long."""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from mcp_local_llm.files.reading.file_text import FileText, shown
from mcp_local_llm.files.reading.split import part_budget
from mcp_local_llm.values.chat import ChatRequest, TokenCounts
from mcp_local_llm.values.errors import ContextLengthError
from mcp_local_llm.values.progress import duration_words

Items = Sequence[ChatRequest | str]
"""Requests and texts to be counted."""

CountBatch = Callable[[tuple[ChatRequest | str, ...]], Awaitable[TokenCounts]]
"""Counts items that fit into one line; raises as `LLM.count`."""

BATCH_CHARACTERS = 4_000_000
"""Characters that are sent to be counted at once; every one may take six bytes of a line."""

MIN_ANSWER = 512
"""Tokens that must be left for an answer where the call names no number, in a window of 4096 and more."""

EDIT_HELP = (
    "an edit needs the whole file at once, so split=true does not help; draft the new text of a range such as "
    "path:1-400 into another file and put it in place yourself, or choose a model with a larger window"
)
"""What helps where a file that is to be edited does not fit."""

TOLD = 8
"""Files whose sizes one refusal tells."""


async def count_in_batches(items: Items, count: CountBatch) -> TokenCounts:
    """Count items in batches by `count`; a request that no line can hold is estimated from its texts' ratio."""
    counts = TokenCounts("", (), None)
    for batch in _batches(items):
        sent = tuple(item if _size(item) <= BATCH_CHARACTERS else "" for item in batch)
        found = await count(sent)
        long = [_size(item) // 4 if _size(item) > BATCH_CHARACTERS else None for item in batch]
        tokens = tuple(own if own is not None else one for own, one in zip(long, found.tokens, strict=True))
        counts = replace(found, tokens=counts.tokens + tokens, estimated=found.estimated or counts.estimated)
    return counts


def answer_room(request: ChatRequest, window: int) -> int:
    """Return the tokens that a window must leave for the answer."""
    return request.sampling.max_tokens or min(MIN_ANSWER, window // 8)


def too_long(
    counts: TokenCounts, texts: Sequence[FileText], tokens: Sequence[int], needed: int, help_: str
) -> ContextLengthError:
    """Return the refusal of files that do not fit, with the number of each and what would help.

    Args:
        counts: model and window.
        texts: the files.
        tokens: of each file.
        needed: tokens of the whole prompt and the room for its answer.
        help_: what would help, as a list without a full stop.
    """
    order = sorted(zip(tokens, texts, strict=True), key=lambda pair: -pair[0])
    sizes = ", ".join(f"{shown(text.name)} {count:,}" for count, text in order[:TOLD])
    more = f" and {len(order) - TOLD} smaller ones" if len(order) > TOLD else ""
    about = "about " if counts.estimated else ""
    return ContextLengthError(
        f"The call needs {about}{needed:,} tokens with its answer, and {counts.model} has a window of "
        f"{counts.window or 0:,}. Tokens of the files: {sizes}{more}. What helps: {help_}."
    )


def split_help(counts: TokenCounts, tokens: Sequence[int], prefill_rate: float) -> str:
    """Return what helps where files do not fit.

    Args:
        counts: model and window.
        tokens: of each file.
        prefill_rate: tokens per second that this machine reads; 0 where that is not known.
    """
    budget = max(part_budget(counts.window or 0), 1)
    parts = sum(math.ceil(count / budget) for count in tokens)
    wait = f", about {duration_words(sum(tokens) / prefill_rate)}" if prefill_rate else ""
    return (
        f"split=true reads them in {parts} parts{wait}; a range such as path:1-400, fewer files, or each_file=true; or "
        "a model with a larger window"
    )


def _size(item: ChatRequest | str) -> int:
    return len(item) if isinstance(item, str) else item.characters


def _batches(items: Items) -> list[list[ChatRequest | str]]:
    batches: list[list[ChatRequest | str]] = []
    room = 0
    for item in items:
        size = min(_size(item), BATCH_CHARACTERS)
        if not batches or size > room:
            batches.append([])
            room = BATCH_CHARACTERS
        batches[-1].append(item)
        room -= size
    return batches
