"""The behaviour table: what a model says, and what must come of it, wherever it is asked.

The words of a question are the name of its case. A model in this program recites the case's raw output; a server of
somebody else sends it, in pieces, or what it makes of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mcp_local_llm.values.chat import ChatRequest, ChatResult, FinishReason, Message, SamplingParams, ToolCall, ToolSpec
from tests.behaviour.reciting_model import Script, cut

WEATHER = ToolSpec(name="get_weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})
PARIS = ToolCall(name="get_weather", arguments={"city": "Paris"})
RAW_CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
THOUGHT = "<think>\n2 and 2.\n</think>\n\n"
QUOTED = "Write `<think>` and `</think>` around it."
OPENED = "<think>\n"
CLOSED = "<think>\n\n</think>\n\n"
NUMBERS = " ".join(str(number) for number in range(150))
"""Longer than what a stream holds back behind a block, for fear of a stray closer."""
ENDLESS = "an answer without an end"
"""Names the script that no table holds: it goes on until somebody ends it."""


@dataclass(frozen=True)
class Parts:
    """What a server sends that has taken the model's output apart, or begun to."""

    content: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True)
class Case:
    """A row.

    Attributes:
        raw: the model's output behind `opening`, which its template wrote. One that is cut by its length ends there.
        text, reasoning, calls, finish_reason, closed: the result.
        whole_tags: tags in `raw` are tokens of the vocabulary, not cut into pieces like any other text.
        parts: what a server makes of it; None where it sends `raw` as its content.
    """

    raw: str
    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason = "stop"
    closed: bool = True
    tools: tuple[ToolSpec, ...] = ()
    opening: str = ""
    whole_tags: bool = False
    parts: Parts | None = None

    @property
    def script(self) -> Script:
        """What the reciting model is made to say."""
        pieces = cut(self.raw, whole_tags=self.whole_tags)
        return Script(pieces, self.opening, self.whole_tags, ends=self.finish_reason != "length")

    @property
    def max_tokens(self) -> int | None:
        """The limit that cuts the answer; None where the model ends it."""
        return len(self.script.pieces) if self.finish_reason == "length" else None

    def outcome(self) -> tuple[str, str, tuple[ToolCall, ...], FinishReason, bool]:
        """What `outcome` must tell of the result."""
        return self.text, self.reasoning, self.calls, self.finish_reason, self.closed


CASES: Mapping[str, Case] = {
    "a plain answer": Case("Four.", "Four."),
    "an empty answer": Case("", ""),
    "closed thinking": Case(THOUGHT + "Four.", "Four.", "2 and 2.", whole_tags=True),
    "closed thinking in cut tags": Case(THOUGHT + "Four.", "Four.", "2 and 2."),
    "closed thinking that the template opened": Case(
        "2 and 2.\n</think>\n\nFour.", "Four.", "2 and 2.", opening=OPENED, parts=Parts("Four.", "2 and 2.")
    ),
    "thinking that the template closed": Case("Four.", "Four.", opening=CLOSED),
    "unclosed thinking": Case("<think>\n2 and 2, so", "", "2 and 2, so", finish_reason="length", closed=False),
    "unclosed thinking and the end of the turn": Case("<think>\n2 and 2, so", "", "2 and 2, so", closed=False),
    "an orphan closer": Case("2 and 2.\n</think>\n\nFour.", "Four.", "2 and 2."),
    "quoted tags": Case(QUOTED, QUOTED),
    "quoted tags after a thought": Case(THOUGHT + QUOTED, QUOTED, "2 and 2."),
    "reasoning and nothing else": Case(
        "2 and 2, so",
        "",
        "2 and 2, so",
        finish_reason="length",
        closed=False,
        opening=OPENED,
        parts=Parts(reasoning="2 and 2, so"),
    ),
    "reasoning and a further block": Case(
        " 2 and 2. </think><think>Sure.</think>Four.",
        "Four.",
        "2 and 2.\nSure.",
        opening=OPENED,
        parts=Parts("<think>Sure.</think>Four.", " 2 and 2. "),
    ),
    "a tool call": Case(RAW_CALL, calls=(PARIS,), finish_reason="tool_calls", tools=(WEATHER,)),
    "a tool call after a thought": Case(
        THOUGHT + RAW_CALL, "", "2 and 2.", calls=(PARIS,), finish_reason="tool_calls", tools=(WEATHER,)
    ),
    "a tool call that a server has read": Case(
        RAW_CALL, calls=(PARIS,), finish_reason="tool_calls", tools=(WEATHER,), parts=Parts(calls=(PARIS,))
    ),
    "a tool call where no tools are": Case(RAW_CALL, RAW_CALL),
    "length": Case("One, two", "One, two", finish_reason="length"),
    "a long answer after a thought": Case(THOUGHT + NUMBERS, NUMBERS, "2 and 2."),
    "letters of several bytes": Case("🎉👍🏽 für 4 €", "🎉👍🏽 für 4 €"),
}

SCRIPTS: Mapping[str, Script] = {
    **{name: case.script for name, case in CASES.items()},
    ENDLESS: Script(("la ", "la\n"), ends=False),
}


def question(name: str, *, stream: bool = False) -> ChatRequest:
    """Ask for a case by its name."""
    case = CASES[name]
    return ChatRequest(
        (Message(role="user", content=name),),
        tools=case.tools,
        sampling=SamplingParams(max_tokens=case.max_tokens),
        stream=stream,
    )


def outcome(result: ChatResult) -> tuple[str, str, tuple[ToolCall, ...], FinishReason, bool]:
    """What a case says of its result: text, reasoning, calls without made-up ids, why it ended, whether it closed."""
    calls = tuple(call.model_copy(update={"id": None}) for call in result.tool_calls)
    return result.text, result.reasoning, calls, result.finish_reason, result.thinking_closed
