"""Finds checkpoints: the ends of the parts of a prompt that later prompts will share, where its KV cache is kept.

They are found by rendering the template again with less in it, so no template is known by name. Runs on worker threads.
"""

from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Literal

from mcp_local_llm.engines.mlx.prompt.common_prefix import alike
from mcp_local_llm.engines.mlx.prompt.conversation import render_conversation
from mcp_local_llm.engines.mlx.prompt.render import Prompt, encode_rendered
from mcp_local_llm.engines.mlx.prompt.text_model import TextModel
from mcp_local_llm.values.chat import ChatRequest, Message
from mcp_local_llm.values.errors import InvalidRequestError

CheckpointKind = Literal["system", "files", "user", "answer"]
"""The kind of a prefix's end. `answer` also stands for a prompt that was cancelled during prefill."""


LEAST_TOKENS = 32
"""Tokens; computing a shorter part again is as fast as finding it."""

FILE_OPENS, FILE_ENDS = '<file path="', "</file>"
"""The form of files in a message (`<file path="a.py">...</file>`), one behind the other."""


@dataclass(frozen=True)
class Checkpoint:
    """The first `end` tokens of a prompt, and the kind of their end."""

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
        (_with_files(request, prompt, model, round(LEAST_TOKENS * per_token)), "files"),
    )
    found += [Checkpoint(_tokens_of(head, prompt, model), kind) for head, kind in heads if head]
    body = _without_opening(request, prompt, model)
    if body:
        opening = encode_rendered(prompt.text[len(body) :], model)
        if opening and prompt.tokens[-len(opening) :] == opening:
            found.append(Checkpoint(len(prompt.tokens) - len(opening), "user"))
    return tuple(found)


def beyond(found: tuple[Checkpoint, ...], cached: int) -> tuple[Checkpoint, ...]:
    """Return the checkpoints that are worth keeping behind the `cached` tokens."""
    return tuple(checkpoint for checkpoint in found if checkpoint.end >= cached + LEAST_TOKENS)


def _system_part(request: ChatRequest, prompt: Prompt, model: TextModel) -> str:
    """Return the text up to the first message that is no system message: instructions and tools.

    Every new session of a project begins with it, and the same session after it was summarized.
    """
    system = list(takewhile(lambda message: message.role == "system", request.messages))
    rest = request.messages[len(system) :]
    if not (system or request.tools) or not rest:
        return ""
    # Any first letter but the conversation's own makes the two texts part where its first message begins.
    other = "b" if rest[0].content.startswith("a") else "a"
    try:
        shorter = replace(request, messages=(*system, Message(role="user", content=other)))
        text = render_conversation(shorter, model).text
    except InvalidRequestError:
        return ""
    return text[: alike(text, prompt.text)]


def _with_files(request: ChatRequest, prompt: Prompt, model: TextModel, least: int) -> str:
    """Return the text up to the last file of the last user message, where its files have `least` characters.

    A template writes a message's content as it stands; one that does not is given no checkpoint.
    """
    content = next((message.content for message in reversed(request.messages) if message.role == "user"), "")
    content = model.control.marked(content)
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
        text = render_conversation(request, model, opening=False).text
    except InvalidRequestError:
        return ""
    return text if prompt.text.startswith(text) and len(text) < len(prompt.text) else ""


def _tokens_of(head: str, prompt: Prompt, model: TextModel) -> int:
    """Count the prompt's tokens in `head` that do not depend on the text after it."""
    alone = encode_rendered(head, model)
    # The last one may be another when the next text begins in a way that merges with it.
    return max(alike(alone, prompt.tokens) - 1, 0)
