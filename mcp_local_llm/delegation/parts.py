"""Reads what is longer than a window in parts: facts of each part first, then the answer from the facts.

A question that asks for a list gets the lists of all parts, one behind the other: a summary would lose entries.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mcp_local_llm.delegation.asking import Asker, Crowd, Job, added
from mcp_local_llm.delegation.counting import answer_room
from mcp_local_llm.delegation.requests import Question, text_request
from mcp_local_llm.files.reading.fences import DATA_SENTENCE, fenced
from mcp_local_llm.files.reading.file_text import FileText, shown
from mcp_local_llm.files.reading.split import part_budget, split
from mcp_local_llm.files.writing.drafts import unfinished
from mcp_local_llm.values.chat import ChatResult, TokenCounts
from mcp_local_llm.values.errors import ContextLengthError

NOTHING = "NONE"
"""The answer to a part that holds nothing of what is asked."""

ASSUMED_WINDOW = 32_768
SMALLEST_WINDOW = 2048
"""Where a server does not tell its window, parts are cut for the first; it is halved when the server refuses a part."""

NOTE_TOKENS = 400
"""The most tokens of the facts of one part."""

MAX_CUTS = 6
"""Times that parts are cut smaller because they have more tokens than estimated."""

_LISTING = re.compile(
    r"\s*(please\s+)?(list|find|search|show|name|enumerate|collect|grep|locate|where|which|extract)\b", re.IGNORECASE
)

_FACTS = (
    "You read one part of a longer text. Do not answer the question. List the facts in this part that help to answer "
    f"it, one a line, with the number of the line or the name that it is about. If there are none, write {NOTHING}."
)
_ENTRIES = (
    "You read one part of a longer text. Do the task for this part alone, one entry a line, with the number of its "
    f"line where there is one. If there is no entry in this part, write {NOTHING}."
)
_REDUCE = (
    "The text was read in parts. Below are the facts that were found in each part. Do the task from them alone; "
    "do not mention parts."
)
_CONDENSE = (
    "Below are facts that were found in parts of a text. Write them again in fewer words. Leave out what does not "
    "help to answer the question, and keep names and numbers."
)


@dataclass(frozen=True)
class LongReader:
    """Answers questions about texts in parts.

    Attributes:
        asker: sends the requests, and counts their tokens.
        key: makes the tags of the fences.
    """

    asker: Asker
    key: bytes

    async def answer(self, question: Question, texts: Sequence[FileText], counts: TokenCounts) -> ChatResult:
        """Answer a question about texts, in parts.

        Args:
            question: the task.
            texts: the files, in their order.
            counts: model, window and places of the engine.

        Raises:
            ContextLengthError: the window is too small to read anything in.
            LocalLLMError: as `LLM.chat`.
        """
        window = counts.window or ASSUMED_WINDOW
        while True:
            try:
                return await self._answer(question, texts, replace(counts, window=window))
            except ContextLengthError:
                if counts.window is not None or window <= SMALLEST_WINDOW:
                    raise
            window //= 2

    async def _answer(self, question: Question, texts: Sequence[FileText], counts: TokenCounts) -> ChatResult:
        parts = [part for text in texts for part in await self._parts(question, text, counts)]
        listing = question.base.response_schema is None and _LISTING.match(question.text) is not None
        system = f"{question.system}\n\n{DATA_SENTENCE}\n\n{_ENTRIES if listing else _FACTS}".strip()
        results: list[ChatResult | None] = [None] * len(parts)
        crowd = Crowd(len(parts), counts.places, "parts", self.asker.report)

        def job(at: int) -> Job:
            async def run() -> ChatResult:
                user = f"{fenced(parts[at], self.key)}\n\n{'Task' if listing else 'Question'}: {question.text}"
                limit = 0 if listing else NOTE_TOKENS
                request = text_request(question, system, user, max_tokens=limit)
                result = results[at] = await self.asker.ask(request, crowd.inner)
                return result

            return run

        await crowd.run([job(at) for at in range(len(parts))])
        read = [result for result in results if result is not None]
        if listing:
            cut = next((result for result in read if unfinished(result)), read[-1])
            return added(read, _entries(parts, read), cut)
        notes = [
            f"{shown(part.name)}, lines {part.first}-{part.last}:\n{result.text.strip()}"
            for part, result in zip(parts, read, strict=True)
            if not _is_nothing(result.text)
        ]
        cut = sum(bool(unfinished(result)) for result in read)
        last = await self._combined(question, notes, counts, read)
        whole = added([*read, last], last.text, last)
        if not cut:
            return whole
        told = f"The notes of {cut} of {len(parts)} parts were cut off, so facts may be missing; ask for less at once."
        return replace(whole, warnings=(*whole.warnings, told))

    async def _parts(self, question: Question, text: FileText, counts: TokenCounts) -> tuple[FileText, ...]:
        """Cut one text; every part is counted, and cut smaller where an estimate was wrong."""
        window = counts.window or ASSUMED_WINDOW
        history = "".join(message.content for message in question.base.messages)
        own = question.text + question.system + history + DATA_SENTENCE + _FACTS
        overhead = (await self.asker.count((own,))).tokens[0] + 200
        budget = min(part_budget(window), window - overhead - answer_room(question.base, window))
        if budget < 64:
            raise ContextLengthError(
                f"{counts.model} has a window of {window:,} tokens, of which the task leaves too few for a part. "
                "Shorten the task, ask for fewer max_tokens, or choose a model with a larger window."
            )
        whole = (await self.asker.count((text.text,))).tokens[0]
        ratio = whole / max(len(text.text), 1)
        for _ in range(MAX_CUTS):
            parts = split(text, lambda piece, each=ratio: math.ceil(len(piece) * each), budget)
            most = max((await self.asker.count([part.text for part in parts])).tokens)
            if most <= budget:
                return parts
            ratio *= 1.05 * most / budget
        raise ContextLengthError(f"{shown(text.name)} cannot be cut into parts of {budget:,} tokens. Name a range.")

    async def _combined(
        self, question: Question, notes: list[str], counts: TokenCounts, read: list[ChatResult]
    ) -> ChatResult:
        """Answer from notes; in levels where they do not fit."""
        window = counts.window or ASSUMED_WINDOW
        while True:
            user = "\n\n".join([_REDUCE, *(notes or ["Nothing was found in any part."]), f"Task: {question.text}"])
            request = text_request(question, question.system, user, schema=True)
            needed = (await self.asker.count((request,))).tokens[0]
            if needed + answer_room(question.base, window) <= window or len(notes) < 2:
                return await self.asker.ask(request)
            groups = [notes[at : at + 2] for at in range(0, len(notes), 2)]
            shorter: list[str] = []
            for group in groups:
                text = "\n\n".join([_CONDENSE, *group, f"Question: {question.text}"])
                request = text_request(question, question.system, text, max_tokens=NOTE_TOKENS)
                result = await self.asker.ask(request)
                read.append(result)
                shorter.append(result.text.strip())
            notes = shorter


def _is_nothing(text: str) -> bool:
    return text.strip().strip("`*_.\"'").upper() in (NOTHING, "")


def _entries(parts: Sequence[FileText], results: Sequence[ChatResult]) -> str:
    """Put the lists of all parts one behind the other, each entry once, with a line for each file."""
    lines: dict[str, None] = {}
    several = len({part.name for part in parts}) > 1
    for part, result in zip(parts, results, strict=True):
        if _is_nothing(result.text):
            continue
        found = [line.rstrip() for line in result.text.splitlines() if line.strip() and not _is_nothing(line)]
        lines |= dict.fromkeys([f"{shown(part.name)}:" if several else "", *found])
    return "\n".join(line for line in lines if line) or NOTHING
