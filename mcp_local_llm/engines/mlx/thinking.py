"""What a model's tokenizer and chat template say about reasoning: its markers, their frame, and the switch.

Runs on the MLX thread only.
"""

from dataclasses import dataclass
from typing import Any, cast

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


def thinking_traits(tokenizer: Any) -> ThinkingTraits:
    """Ask the tokenizer (an mlx-lm `TokenizerWrapper`) and its template, by rendering a few words."""
    question = [{"role": "user", "content": _QUESTION}]
    on, off = (_render(tokenizer, question, add_generation_prompt=True, enable_thinking=on) for on in (True, False))
    opener, closer = tuple(tokenizer.think_start_tokens or ()), tuple(tokenizer.think_end_tokens or ())
    if not opener or not closer:
        return ThinkingTraits(None, on != off)
    before, after = _frame(tokenizer, question, off)
    markers = ThoughtMarkers(opener, closer, _encode(tokenizer, before), _encode(tokenizer, after))
    return ThinkingTraits(markers, on != off)


def _frame(tokenizer: Any, question: list[dict[str, str]], off: str) -> tuple[str, str]:
    """Find the whitespace around the closer: in a turn of the past, or where the template closes an empty block."""
    closer = cast(str, tokenizer.think_end)
    turn = {"role": "assistant", "content": _ANSWER, "reasoning_content": _THOUGHT}
    past = _render(tokenizer, [*question, turn], add_generation_prompt=False)
    thought, found, rest = past.partition(closer)
    if found and _THOUGHT in thought and _ANSWER in rest:
        frame = thought.rpartition(_THOUGHT)[2], rest.partition(_ANSWER)[0]
    elif off.rstrip().endswith(closer):
        thought, _, after = off.rpartition(closer)
        frame = ("\n" if thought.endswith("\n") else "", after)
    else:
        frame = ("", "")
    return frame if not "".join(frame).strip() else ("", "")


def _render(tokenizer: Any, messages: list[dict[str, str]], **switches: bool) -> str:
    try:
        return cast(str, tokenizer.apply_chat_template(messages, tokenize=False, **switches))
    except Exception:
        # A template is a program that came with the model. One that cannot do this tells nothing, and the requests
        # that it refuses are answered elsewhere.
        return ""


def _encode(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text, add_special_tokens=False)) if text else ()
