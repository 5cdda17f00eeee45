"""Finds a model's reasoning markers, the whitespace around them, and its switch, from tokenizer and chat template.

Runs once for each loaded model; it must not touch an mlx array.
"""

from dataclasses import dataclass
from typing import Any

from mcp_local_llm.engines.mlx.prompt.render import TextModel, apply_template
from mcp_local_llm.parsing.markup import TagPair

_QUESTION, _THOUGHT, _ANSWER = "one question", "one thought", "one answer"


@dataclass(frozen=True)
class ReasoningMarkers:
    """Token ids around a reasoning block.

    Attributes:
        opener, closer: the markers; neither is empty.
        before, after: whitespace that the template writes between thought and closer, and between closer and answer.
        closer_text: the closer, where it is plain text: its ids merge with those beside it, so that it is found in the
            text of the answer.
    """

    opener: tuple[int, ...]
    closer: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    closer_text: str = ""


@dataclass(frozen=True)
class ThinkingTraits:
    """Markers, None where the model's files name none; whether the template's switch changes anything."""

    markers: ReasoningMarkers | None
    switchable: bool


def thinking_traits(model: TextModel) -> ThinkingTraits:
    """Find markers and switch by rendering a short conversation."""
    question: list[dict[str, Any]] = [{"role": "user", "content": _QUESTION}]
    on, off = (_render(model, question, add_generation_prompt=True, enable_thinking=on) for on in (True, False))
    tags = model.tags
    if tags is None:
        return ThinkingTraits(None, on != off)
    opener, closer = tuple(model.encode(tags.opener)), tuple(model.encode(tags.closer))
    if model.tokenizer.think_start is None and max(len(opener), len(closer)) > 1:
        # Plain text: it merges with what stands beside it, so that its ids cannot be followed. The parser finds it.
        return ThinkingTraits(None, on != off)
    before, after = _frame(model, question, off)
    markers = ReasoningMarkers(opener, closer, tuple(model.encode(before)), tuple(model.encode(after)))
    return ThinkingTraits(markers, on != off)


def _frame(model: TextModel, question: list[dict[str, Any]], off: str) -> tuple[str, str]:
    """Find the whitespace around the closer: in a turn of the past, or where the template closes an empty block."""
    assert model.tags is not None, "called only where there are tags"
    closer = model.tags.closer
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
        # A template is a program that came with the model. One that refuses this conversation yields no
        # markers; its refusal of a request is reported by `render`.
        return ""


def opened_markers(model: TextModel, traits: ThinkingTraits, pair: TagPair | None) -> ReasoningMarkers | None:
    """Return the markers of an answer behind a prompt that left a block of these tags open.

    Args:
        model: the tokenizer.
        traits: the model's.
        pair: None where the prompt opened no block.
    """
    if pair is None or (traits.markers is not None and pair == model.tags):
        return traits.markers
    opener, closer = tuple(model.encode(pair.opener)), tuple(model.encode(pair.closer))
    return ReasoningMarkers(opener, closer, (), tuple(model.encode("\n\n")), pair.closer if len(closer) > 1 else "")
