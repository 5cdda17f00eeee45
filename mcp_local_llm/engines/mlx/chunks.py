"""Turns the events of one request into chunks of progress and text, and the result. It must not touch mlx.

The parser runs here, off the MLX thread.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_local_llm.engines.mlx.messages import Event, Finished, Generated, Prefilled, Queued, Started
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, ChatResult, Timings, Usage
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import Phase, Progress

if TYPE_CHECKING:
    from mcp_local_llm.parsing import Markup, OutputStream, Parsed


@dataclass
class ChunkBuilder:
    """Turns the events of one request into chunks, and the last event into the result."""

    request: ChatRequest
    model: ModelInfo
    markup: "Markup"
    finished: bool = False

    def __post_init__(self) -> None:
        self._started = Started(0, 0, think_prefilled=False)
        self._output = self._parser(self._started)
        self._json: list[str] = []

    def chunk(self, event: Event) -> ChatChunk:
        """Take the next event of the job."""
        match event:
            case Queued(ahead):
                return ChatChunk(Progress("queued", ahead))
            case Started(prompt_tokens, cached_tokens):
                self._started = event
                self._output = self._parser(event)
                return ChatChunk(Progress("prefill", cached_tokens, prompt_tokens))
            case Prefilled(done, total):
                return ChatChunk(Progress("prefill", done, total))
            case Generated(text, tokens, seconds, json):
                self._json.append(json)
                # A required call is told whole, with the result.
                json = "" if self.request.must_call else json
                certain = self._output.feed(text)
                phase: Phase = "reasoning" if self._output.channel == "reasoning" else "answer"
                return ChatChunk(
                    Progress(phase, tokens, rate=tokens / seconds if seconds > 0 else None),
                    text="".join(str(piece) for kind, piece in certain if kind == "text") + json,
                    reasoning="".join(str(piece) for kind, piece in certain if kind == "reasoning"),
                )
            case Finished():
                self.finished = True
                return ChatChunk(result=self._result(event))
            case _:
                return ChatChunk()

    def _parser(self, started: Started) -> "OutputStream":
        # Here and not above: the parser's tables take a fiftieth of a second to build, which a handshake need not wait.
        from mcp_local_llm.parsing import OutputStream

        tools = [tool.openai() for tool in self.request.callable_tools] or None
        return OutputStream(
            think_prefilled=started.think_prefilled,
            tools=tools,
            markup=self.markup.opened(started.pair),
            answer_begun=started.answer_only,
        )

    def _result(self, end: Finished) -> ChatResult:
        parsed, written = self._parts(end)
        text = parsed.text + written
        looped, cut = end.reason == "loop", end.reason != "stop"
        reason = "length" if cut else "stop"
        warnings = [*end.warnings, *parsed.warnings]
        # A model that called a tool instead has not broken the promise about its answer.
        met, advice = (None, "") if parsed.tool_calls and not text else self._validated(text, end)
        if looped:
            warnings.append(f"The answer was ended after {end.tokens} tokens because it only repeated itself.")
        if self.request.must_call and not parsed.tool_calls:
            warnings.append(f"No tool call was completed: {_incomplete(end)}.")
        if met is False:
            told = f"The answer does not validate against response_schema: {_incomplete(end)}. {advice}"
            warnings.append(told.rstrip())
        return ChatResult(
            text=text,
            reasoning=parsed.reasoning,
            tool_calls=parsed.tool_calls,
            finish_reason="tool_calls" if parsed.tool_calls and not cut else reason,
            model=self.model.id,
            usage=Usage(
                prompt_tokens=self._started.prompt_tokens,
                cached_tokens=self._started.cached_tokens,
                completion_tokens=end.tokens,
                # An empty block is no reasoning, but one that a budget cut short is what the budget allowed.
                reasoning_tokens=end.reasoning_tokens if parsed.reasoning or self.request.max_thinking_tokens else 0,
            ),
            timings=Timings(queued_s=end.queued_s, prefill_s=end.prefill_s, decode_s=end.decode_s),
            thinking_closed=parsed.thinking_closed,
            warnings=tuple(warnings),
            looped=looped,
            schema_met=met,
            schema_advice=advice,
            stop_string=end.stop_string,
        )

    def _parts(self, end: Finished) -> tuple["Parsed", str]:
        """Return what the parser made of the text, and the JSON behind it; required calls are read from that."""
        from mcp_local_llm.parsing.parser import NEVER_CLOSED
        from mcp_local_llm.parsing.required_calls import read_required_calls

        self._output.feed(end.text)
        parsed, written = self._output.finish(), "".join([*self._json, end.json])
        if written and self.request.prompt is None:
            # A constrained answer begins where the reasoning is over, even if nothing that is known closed it.
            others = tuple(warning for warning in parsed.warnings if warning != NEVER_CLOSED)
            parsed = replace(parsed, thinking_closed=True, warnings=others)
        if self.request.must_call:
            calls, written = read_required_calls(written)
            parsed = replace(parsed, tool_calls=calls)
        return parsed if self.request.parallel_tool_calls else parsed.with_one_call(), written

    def _validated(self, text: str, end: Finished) -> tuple[bool | None, str]:
        """Return whether the answer validates, and how to bound the schema where it was cut off in what has no end."""
        from mcp_local_llm.parsing.answer_schema import bounding_advice, schema_fault

        schema = self.request.response_schema
        if schema is None or end.schema_met is None:
            return None, ""
        fault = schema_fault(text, schema)
        met = end.schema_met if fault is None else not fault
        return met, "" if met or end.reason == "stop" else bounding_advice(text, schema)


def _incomplete(end: Finished) -> str:
    """Return the reason why constrained output is incomplete."""
    match end.reason:
        case "length":
            return f"max_tokens ended it after {end.tokens} tokens"
        case "loop":
            return "it was ended because it only repeated itself"
        case _:
            return "a stop string or the model ended it early"
