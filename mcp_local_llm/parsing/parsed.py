"""The values that the parser returns, and the error for an unreadable payload. Pure data."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from mcp_local_llm.values.chat import ToolCall

Channel = Literal["reasoning", "text"]
StreamEvent = tuple[Literal["reasoning", "text"], str] | tuple[Literal["tool_call"], dict[str, Any]]
"""`("reasoning", text)`, `("text", text)` or `("tool_call", {"name", "arguments"})`."""


@dataclass(frozen=True)
class Parsed:
    """One answer of a model, taken apart.

    Attributes:
        text: the answer without reasoning and without calls, otherwise as it came. White space at its end is not part
            of it, nor are line ends between markup and its first line.
        reasoning: all blocks, joined by a newline.
        tool_calls: in the order in which the model made them.
        warnings: one sentence each about what was dropped, cut off or not understood.
        thinking_closed: False where the reasoning was never closed (R9).
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    warnings: tuple[str, ...] = ()
    thinking_closed: bool = True

    def with_one_call(self) -> "Parsed":
        """Return this answer with its first call alone, and a warning where others were dropped."""
        if len(self.tool_calls) < 2:
            return self
        dropped = f"{len(self.tool_calls) - 1} further tool call(s) were dropped because parallel_tool_calls is false."
        return replace(self, tool_calls=self.tool_calls[:1], warnings=(*self.warnings, dropped))


@dataclass(frozen=True)
class Span:
    """A stretch of the text, and the calls that it holds."""

    start: int
    end: int
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True)
class Segment:
    """A stretch of one channel; `spans` are the calls inside it, in order.

    Attributes:
        closed: False for a block of reasoning that never ends.
        ends_message: whether a message of a format that writes several ends here.
    """

    channel: Channel
    start: int
    end: int
    spans: tuple[Span, ...] = ()
    closed: bool = True
    ends_message: bool = False


class PayloadError(ValueError):
    """A payload can't be read.

    Attributes:
        position: where reading stopped.
        cut: True where the text ended before the payload did.
    """

    def __init__(self, position: int, *, cut: bool) -> None:
        super().__init__(f"unreadable payload at {position}")
        self.position = position
        self.cut = cut
