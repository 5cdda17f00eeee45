"""A model's tokenizer and chat template, and the rendering of messages with it, within bounds.

Runs on worker threads: it must not touch an mlx array.
"""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from mcp_local_llm.engines.mlx import heap
from mcp_local_llm.engines.mlx.prompt.bounded_template import ChatTemplate, compiled
from mcp_local_llm.engines.mlx.prompt.control_tokens import ControlTokens
from mcp_local_llm.engines.mlx.prompt.rendering_budget import RenderingBudget
from mcp_local_llm.parsing.markup import TagPair

LARGEST_TEXT = 256 * 2**20
"""Characters of a prompt for a model that names no context window."""

LONG_TEXT = 2**17
"""Characters of a text after which the heap is trimmed: tokenizing 1 MB takes 120 MB of it in small pieces,
of which most stayed with the process. Trimming takes 2 to 6 % of the time of tokenizing."""

Switches = Mapping[str, Any]
"""Variables of a chat template beside messages and tools."""


@dataclass(frozen=True)
class ThinkingSwitch:
    """The variables that switch reasoning on and off.

    Attributes:
        least: `off` only sets the lowest effort, because the template knows no way to switch reasoning off.
    """

    on: Switches
    off: Switches
    least: bool = False


SystemPlace = Literal["anywhere", "front", "nowhere"]
"""Where a template writes system turns: each in its place, the first turn only, or none at all."""


@dataclass(frozen=True)
class ThoughtForm:
    """How a template writes a thought before the content of its turn.

    Attributes:
        before, after: the text around the thought.
        after_alone: the text behind it where the turn has calls and no content.
    """

    before: str
    after: str
    after_alone: str


@dataclass(frozen=True)
class TemplateTraits:
    """What a chat template does with a request, as its renderings show.

    Attributes:
        switch: how reasoning is switched; None where no variable of the template changes anything.
        history: the variables that keep the reasoning of earlier answers: stripped history is another prompt, and its
            KV cache is reused only up to the first answer.
        tools: the template writes the tools; `calls`: the calls of earlier turns; `results`: turns with their results.
        tools_move: it writes the tools before the last user turn, so that each turn would move them.
        system: where it writes system turns.
        keeps_thoughts: it writes the reasoning of all earlier answers, with `history` set.
        thought: how it writes the reasoning of calls while their results come in; None where it writes none, or
            elsewhere than before the content.
    """

    switch: ThinkingSwitch | None = None
    history: Switches = field(default_factory=dict[str, Any])
    tools: bool = True
    calls: bool = True
    results: bool = True
    tools_move: bool = False
    system: SystemPlace = "anywhere"
    keeps_thoughts: bool = False
    thought: ThoughtForm | None = None


@dataclass(frozen=True)
class TextModel:
    """A model's tokenizer and chat template, without the network: they turn a conversation into token ids.

    Attributes:
        name: the model's id, for messages.
        tokenizer: mlx-lm's `TokenizerWrapper`.
        tags: the tags of its reasoning blocks; None where its files name no known pair.
        vocab_size: rows of the embedding; an id at or above it is a segmentation fault in MLX.
        context_length: longest sequence in tokens, None where its files name none.
        longest_token: characters that one token can stand for at most; None where there is no certain bound.
        pieces: whether a text may be cut at `CUT` and tokenized in pieces, with the same ids.
        traits: what its template does.
        control: its control tokens.
        refuse_tools: refuse tools where the template writes none, instead of writing them into the system turn.
        probes_until: the loading thread's processor time after which its template is asked for no more traits.
    """

    name: str
    tokenizer: Any
    vocab_size: int
    context_length: int | None
    tags: TagPair | None = None
    longest_token: int | None = None
    pieces: bool = False
    traits: TemplateTraits = TemplateTraits()
    control: ControlTokens = field(default_factory=ControlTokens, repr=False)
    refuse_tools: bool = False
    probes_until: float = math.inf
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def late(self) -> bool:
        """Whether the time for probes of the template is over."""
        return time.thread_time() > self.probes_until

    @property
    def largest_text(self) -> int:
        """Characters that the longest prompt can have."""
        if self.context_length is None or self.longest_token is None:
            return LARGEST_TEXT
        return min(4 * self.context_length * self.longest_token, LARGEST_TEXT)

    def template(self, tools: list[dict[str, Any]] | None) -> ChatTemplate | None:
        """Return the compiled template; None where a Python function of mlx-lm's or of the tokenizer's renders."""
        if self.tokenizer._chat_template is not None or _renders_itself(self.tokenizer._tokenizer):
            return None
        return compiled(cast(str, self.tokenizer.get_chat_template(None, tools)))

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        """Return the ids of `text`; a fast tokenizer releases the interpreter's lock while it works."""
        fast = getattr(self.tokenizer, "is_fast", False)
        with contextlib.nullcontext() if fast else self._lock:
            tokens = cast(list[int], self.tokenizer.encode(text, add_special_tokens=add_special_tokens))
        if len(text) >= LONG_TEXT:
            heap.trim()
        return tokens


def apply_template(
    model: TextModel,
    messages: list[dict[str, Any]],
    tools: list[dict[str, Any]] | None,
    switches: Switches,
    cancelled: Callable[[], bool] = lambda: False,
) -> str:
    """Render `messages` as mlx-lm and transformers do, within bounds.

    Raises:
        Exception: whatever the template raises, and `RenderingLimit`.
    """
    template = model.template(tools)
    if template is None:
        return cast(str, model.tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, **switches))
    variables = {
        **model.tokenizer.special_tokens_map,
        "messages": [_with_reasoning_names(message) for message in messages],
        "tools": tools,
        "documents": None,
        "enable_thinking": model.tokenizer.has_thinking,
        **switches,
    }
    characters = _characters([messages, tools])
    # The budget holds the whole conversation whatever the window: excess is reported in tokens, after rendering.
    budget = RenderingBudget(characters, max(model.largest_text, 4 * characters), cancelled)
    return template.render(variables, budget)


def _with_reasoning_names(message: dict[str, Any]) -> dict[str, Any]:
    """Give a turn's reasoning the second name by which templates read it, as transformers does."""
    if "reasoning_content" not in message:
        return message
    return {"thinking": message["reasoning_content"], **message}


def _characters(value: object) -> int:
    """Count the text in messages and tools; every other value counts as one character."""
    total, left = 0, [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, dict):
            left += [*cast(dict[str, object], item).keys(), *cast(dict[str, object], item).values()]
        elif isinstance(item, list):
            left += cast(list[object], item)
        total += 1
    return total


def _renders_itself(tokenizer: Any) -> bool:
    """Whether a tokenizer class brings a renderer of its own, in Python."""
    from transformers import PreTrainedTokenizerBase

    own = getattr(type(tokenizer), "apply_chat_template", None)
    return own is not PreTrainedTokenizerBase.apply_chat_template
