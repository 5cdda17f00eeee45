"""Turns the events of one request into chunks of progress and text, and the result. It must not touch mlx.

The parser runs here, off the MLX thread.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_local_llm.engines.mlx.messages import Event, Finished, Generated, Prefilled, Queued, Started
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, ChatResult, Timings, Usage
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import Phase, Progress

if TYPE_CHECKING:
    from mcp_local_llm.parsing import Markup, OutputStream


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

        tools = [tool.openai() for tool in self.request.tools] or None
        return OutputStream(
            think_prefilled=started.think_prefilled,
            tools=tools,
            markup=self.markup.opened(started.pair),
            answer_begun=started.answer_only,
        )

    def _result(self, end: Finished) -> ChatResult:
        self._output.feed(end.text)
        parsed = self._output.finish()
        text = parsed.text + "".join([*self._json, end.json])
        looped, cut = end.reason == "loop", end.reason != "stop"
        reason = "length" if cut else "stop"
        # A model that called a tool instead has not broken the promise about its answer.
        schema_met = None if parsed.tool_calls and not text else end.schema_met
        warnings = [*end.warnings, *parsed.warnings]
        if looped:
            warnings.append(f"The answer was ended after {end.tokens} tokens because it only repeated itself.")
        if schema_met is False:
            warnings.append(f"The answer does not validate against response_schema: {_incomplete(end)}.")
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
            schema_met=schema_met,
        )


def _incomplete(end: Finished) -> str:
    """Return the reason why constrained output is incomplete."""
    match end.reason:
        case "length":
            return f"max_tokens ended it after {end.tokens} tokens"
        case "loop":
            return "it was ended because it only repeated itself"
        case _:
            return "a stop string or the model ended it early"
