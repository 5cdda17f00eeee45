"""Finds a model's reasoning markers, the whitespace around them, and its switch, from tokenizer and chat template.

Runs once for each loaded model; it must not touch an mlx array.
"""

from dataclasses import dataclass
from typing import Any

from mcp_local_llm.engines.mlx.prompt.template_traits import ANSWER, QUESTION, THOUGHT, render_probe
from mcp_local_llm.engines.mlx.prompt.text_model import TextModel, ThinkingSwitch
from mcp_local_llm.parsing.markup import TAG_PAIRS, TagPair


@dataclass(frozen=True)
class ReasoningMarkers:
    """Token ids around a reasoning block.

    Attributes:
        opener, closer: the markers; neither is empty.
        before, after: whitespace that the template writes between thought and closer, and between closer and answer.
    """

    opener: tuple[int, ...]
    closer: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True)
class ThinkingTraits:
    """Markers, None where the model's files name none; the template's switch, None where nothing changes anything."""

    markers: ReasoningMarkers | None
    switch: ThinkingSwitch | None


def reasoning_tags(tokenizer: Any) -> TagPair | None:
    """Find the tags of reasoning blocks: as mlx-lm reads them from the vocabulary, else a known pair.

    A known pair counts where both its tags stand in the chat template or are tokens of their own.

    Args:
        tokenizer: mlx-lm's `TokenizerWrapper`.
    """
    if tokenizer.think_start and tokenizer.think_end:
        return TagPair(tokenizer.think_start, tokenizer.think_end)
    template, added = str(tokenizer.chat_template or ""), str(list(getattr(tokenizer, "added_tokens_encoder", ())))
    for where in (template, added):
        for pair in TAG_PAIRS:
            if pair.opener in where and pair.closer in where:
                return pair
    return None


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
