"""Where a prompt's KV cache is worth keeping: the ends of the parts that later prompts will share.

Found by rendering the template again with less in it, so no template is known by name. Runs on worker threads, beside
the MLX thread.
"""

from dataclasses import dataclass, replace
from typing import Literal

from mcp_local_llm.engines.mlx.prompt.common_prefix import alike
from mcp_local_llm.engines.mlx.prompt.render import Prompt, TextModel, template_text
from mcp_local_llm.values.chat import ChatRequest, Message
from mcp_local_llm.values.errors import InvalidRequestError

CheckpointKind = Literal["system", "files", "user", "answer"]
"""What an entry ends with. `answer` also stands for a prompt that was given up half-way."""


LEAST_TOKENS = 32
"""A shorter part is computed again as fast as it is found."""

FILE_OPENS, FILE_ENDS = '<file path="', "</file>"
"""How files stand in a message (`<file path="a.py">...</file>`), one behind the other."""


@dataclass(frozen=True)
class Checkpoint:
    """The first `end` tokens of a prompt, and what they end with."""

    end: int
    kind: CheckpointKind


def checkpoints(request: ChatRequest, prompt: Prompt, model: TextModel) -> tuple[Checkpoint, ...]:
    """Return the ends of system part, files and last turn.

    Behind the files of the last user message another question about them may follow. The end of the last turn is
    where the next prompt of the conversation will part from this one: a template may strip the reasoning of earlier
    answers, and an interface may send the answer in other words.
    """
    if request.prompt is not None:
        return ()
    found: list[Checkpoint] = []
    per_token = len(prompt.text) / len(prompt.tokens)
    heads: tuple[tuple[str, CheckpointKind], ...] = (
        (_system_part(request, prompt, model), "system"),
        (_with_files(request, prompt, round(LEAST_TOKENS * per_token)), "files"),
    )
    found += [Checkpoint(_tokens_of(head, prompt, model), kind) for head, kind in heads if head]
    body = _without_opening(request, prompt, model)
    if body:
        opening = model.encode(prompt.text[len(body) :])
        if opening and prompt.tokens[-len(opening) :] == opening:
            found.append(Checkpoint(len(prompt.tokens) - len(opening), "user"))
    return tuple(found)


def beyond(found: tuple[Checkpoint, ...], cached: int) -> tuple[Checkpoint, ...]:
    """Return those that are worth keeping behind the `cached` tokens."""
    return tuple(checkpoint for checkpoint in found if checkpoint.end >= cached + LEAST_TOKENS)


def _system_part(request: ChatRequest, prompt: Prompt, model: TextModel) -> str:
    """Return the text up to the first message that is no system message: instructions and tools."""
    system = [message for message in request.messages if message.role == "system"][:1]
    rest = [message for message in request.messages if message.role != "system"]
    if not (system or request.tools) or not rest:
        return ""
    # Any first letter but the conversation's own makes the two texts part where its first message begins.
    other = "b" if rest[0].content.startswith("a") else "a"
    try:
        text = template_text(replace(request, messages=(*system, Message(role="user", content=other))), model)
    except InvalidRequestError:
        return ""
    return text[: alike(text, prompt.text)]


def _with_files(request: ChatRequest, prompt: Prompt, least: int) -> str:
    """Return the text up to the last file of the last user message, where its files have `least` characters.

    A template writes a message's content as it stands; one that does not is given no checkpoint.
    """
    content = next((message.content for message in reversed(request.messages) if message.role == "user"), "")
    end = content.rfind(FILE_ENDS) + len(FILE_ENDS)
    start = content.find(FILE_OPENS, 0, end)
    if start < 0 or end - start < least:
        return ""
    files = content[start:end]
    place = prompt.text.rfind(files)
    return "" if place < 0 else prompt.text[: place + len(files)]


def _without_opening(request: ChatRequest, prompt: Prompt, model: TextModel) -> str:
    """Return the text without the opening of the answer, where the template writes that at the end."""
    try:
        text = template_text(request, model, opening=False)
    except InvalidRequestError:
        return ""
    return text if prompt.text.startswith(text) and len(text) < len(prompt.text) else ""


def _tokens_of(head: str, prompt: Prompt, model: TextModel) -> int:
    """Count the prompt's tokens that lie in `head` whatever follows it."""
    alone = model.encode(head)
    # The last one may be another when the next text begins in a way that merges with it.
    return max(alike(alone, prompt.tokens) - 1, 0)
