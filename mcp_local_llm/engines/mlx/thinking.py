"""What a model's tokenizer and chat template say about reasoning: its markers, their frame, and the switch.

Asked once for each loaded model; touches no array.
"""

from dataclasses import dataclass
from typing import Any, cast

from mcp_local_llm.engines.mlx.prompt import TextModel, apply_template

_QUESTION, _THOUGHT, _ANSWER = "one question", "one thought", "one answer"


@dataclass(frozen=True)
class ThoughtMarkers:
    """Token ids around a reasoning block.

    Attributes:
        opener, closer: the markers; neither is empty.
        before, after: what the template writes between thought and closer, and between closer and answer (whitespace).
    """

    opener: tuple[int, ...]
    closer: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True)
class ThinkingTraits:
    """Markers, None where mlx-lm knows none for this model; whether the template's switch changes anything."""

    markers: ThoughtMarkers | None
    switchable: bool


def thinking_traits(model: TextModel) -> ThinkingTraits:
    """Ask the tokenizer and its template, by rendering a few words."""
    tokenizer = model.tokenizer
    question: list[dict[str, Any]] = [{"role": "user", "content": _QUESTION}]
    on, off = (_render(model, question, add_generation_prompt=True, enable_thinking=on) for on in (True, False))
    opener, closer = tuple(tokenizer.think_start_tokens or ()), tuple(tokenizer.think_end_tokens or ())
    if not opener or not closer:
        return ThinkingTraits(None, on != off)
    before, after = _frame(model, question, off)
    markers = ThoughtMarkers(opener, closer, tuple(model.encode(before)), tuple(model.encode(after)))
    return ThinkingTraits(markers, on != off)


def _frame(model: TextModel, question: list[dict[str, Any]], off: str) -> tuple[str, str]:
    """Find the whitespace around the closer: in a turn of the past, or where the template closes an empty block."""
    closer = cast(str, model.tokenizer.think_end)
    turn = {"role": "assistant", "content": _ANSWER, "reasoning_content": _THOUGHT}
    past = _render(model, [*question, turn], add_generation_prompt=False)
    thought, found, rest = past.partition(closer)
    if found and _THOUGHT in thought and _ANSWER in rest:
        frame = thought.rpartition(_THOUGHT)[2], rest.partition(_ANSWER)[0]
    elif off.rstrip().endswith(closer):
        thought, _, after = off.rpartition(closer)
        frame = ("\n" if thought.endswith("\n") else "", after)
    else:
        frame = ("", "")
    return frame if not "".join(frame).strip() else ("", "")


def _render(model: TextModel, messages: list[dict[str, Any]], **switches: bool) -> str:
    try:
        return apply_template(model, messages, None, switches)
    except Exception:
        # A template is a program that came with the model. One that cannot do this tells nothing, and the requests
        # that it refuses are answered elsewhere.
        return ""
