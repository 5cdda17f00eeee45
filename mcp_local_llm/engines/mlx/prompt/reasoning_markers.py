"""Finds a model's reasoning markers, the whitespace around them, and its switch, from tokenizer and chat template.

Runs once for each loaded model; it must not touch an mlx array.
"""

from dataclasses import dataclass
from typing import Any

from mcp_local_llm.engines.mlx.prompt.template_traits import ANSWER, QUESTION, THOUGHT, render_probe
from mcp_local_llm.engines.mlx.prompt.text_model import TextModel, ThinkingSwitch
from mcp_local_llm.parsing.markup import TagPair


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
    """Markers, None where the model's files name none; the template's switch, None where nothing changes anything."""

    markers: ReasoningMarkers | None
    switch: ThinkingSwitch | None


def thinking_traits(model: TextModel) -> ThinkingTraits:
    """Find the markers by rendering a short conversation."""
    question: list[dict[str, Any]] = [{"role": "user", "content": QUESTION}]
    switch, tags = model.traits.switch, model.tags
    if tags is None:
        return ThinkingTraits(None, switch)
    opener, closer = tuple(model.encode(tags.opener)), tuple(model.encode(tags.closer))
    if model.tokenizer.think_start is None and max(len(opener), len(closer)) > 1:
        # Plain text: it merges with what stands beside it, so that its ids cannot be followed. The parser finds it.
        return ThinkingTraits(None, switch)
    off = render_probe(model, question, switch.off if switch else {}, opening=True)
    before, after = _frame(model, question, off)
    markers = ReasoningMarkers(opener, closer, tuple(model.encode(before)), tuple(model.encode(after)))
    return ThinkingTraits(markers, switch)


def _frame(model: TextModel, question: list[dict[str, Any]], off: str) -> tuple[str, str]:
    """Find the whitespace around the closer: in a turn of the past, or where the template closes an empty block."""
    assert model.tags is not None, "called only where there are tags"
    closer = model.tags.closer
    turn = {"role": "assistant", "content": ANSWER, "reasoning_content": THOUGHT}
    past = render_probe(model, [*question, turn], {})
    thought, found, rest = past.partition(closer)
    if found and THOUGHT in thought and ANSWER in rest:
        frame = thought.rpartition(THOUGHT)[2], rest.partition(ANSWER)[0]
    elif off.rstrip().endswith(closer):
        thought, _, after = off.rpartition(closer)
        frame = ("\n" if thought.endswith("\n") else "", after)
    else:
        frame = ("", "")
    return frame if not "".join(frame).strip() else ("", "")


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
