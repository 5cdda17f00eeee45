"""Makes the logits processors of one request: for penalties, thinking budget, schema and tool calls.

A request without any of them gets no processor, and costs what bare mlx-lm costs. Runs on the MLX thread only.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from mcp_local_llm.engines.mlx.load.weights import LoadedModel
from mcp_local_llm.engines.mlx.prompt.decoded_text import DecodedText
from mcp_local_llm.engines.mlx.prompt.reasoning_markers import ReasoningMarkers, ThinkingTraits, opened_markers
from mcp_local_llm.engines.mlx.prompt.render import Prompt
from mcp_local_llm.engines.mlx.steer.grammar import GrammarCompiler, GrammarError, TokenGrammar
from mcp_local_llm.engines.mlx.steer.json_schema import (
    JsonSchema,
    answer_grammar,
    argument_schema,
    call_grammar,
    relaxed,
    simplified,
    unsupported,
)
from mcp_local_llm.engines.mlx.steer.logits_processor import AnswerProcessor
from mcp_local_llm.engines.mlx.steer.next_token import DecodingPlan, ToolCallForm
from mcp_local_llm.engines.mlx.steer.penalties import NO_PENALTIES, Penalties, PenaltyProcessor, penalties_for
from mcp_local_llm.engines.mlx.steer.reasoning_tokens import CloserText
from mcp_local_llm.engines.mlx.steer.schema_cost import excess
from mcp_local_llm.parsing.required_calls import CALL_TAGS
from mcp_local_llm.values.chat import ChatRequest, ToolSpec
from mcp_local_llm.values.errors import InvalidRequestError

KNOWN_TOOLS = 512
"""Tools whose schemas were checked and are remembered."""
KNOWN_CHARACTERS = 32_768
"""Of such a schema; those of agents' tools have up to 15,000."""


@dataclass(frozen=True)
class Processors:
    """One request's logits processors, in order.

    Attributes:
        control: the processor for the form of the answer.
        penalties: the penalties on tokens of the answer.
        warnings: sentences for the caller.
    """

    all: tuple[Any, ...] = ()
    control: AnswerProcessor | None = None
    penalties: Penalties = NO_PENALTIES
    warnings: tuple[str, ...] = ()


class ProcessorFactory:
    """Makes processors for the requests of one loaded model; caches what depends on its tokenizer."""

    def __init__(self, model: LoadedModel, long_input_penalty: float) -> None:
        self._model = model
        self._long_input_penalty = long_input_penalty
        self._grammars = GrammarCompiler(model)
        self._known_tools: dict[str, tuple[JsonSchema, str]] = {}

    def processors_for(self, request: ChatRequest, prompt: Prompt) -> Processors:
        """Make the processors before anything is computed.

        Raises:
            InvalidRequestError: the schema holds keywords that cannot be enforced, or is no schema.
        """
        # A required call leaves no place for another answer.
        schema = None if request.response_schema is None or request.must_call else self._schema(request.response_schema)
        calls, doubts = self._calls(request)
        control = None
        if schema is not None or calls is not None or request.max_thinking_tokens is not None:
            plan = self._plan(request, prompt, schema, calls)
            if schema is not None or calls is not None or plan.markers is not None:
                control = AnswerProcessor(plan, schema, self._model.tokenizer.eos_token_ids)
        penalties = penalties_for(
            request.sampling,
            self._model.sampling,
            len(prompt.tokens),
            free=schema is None and calls is None,
            long_input=self._long_input_penalty,
        )
        processors = [*([] if penalties.off else [PenaltyProcessor(penalties)]), *([control] if control else [])]
        return Processors(tuple(processors), control, penalties, (*self._thinking_doubts(request, prompt), *doubts))

    @property
    def _traits(self) -> ThinkingTraits:
        return self._model.traits

    def _plan(
        self, request: ChatRequest, prompt: Prompt, schema: TokenGrammar | None, calls: ToolCallForm | None
    ) -> DecodingPlan:
        # A template that was told not to think leaves no block to watch, unless it opened one all the same.
        switched = self._traits.switch is not None and not self._traits.switch.least
        none = request.thinking is False and switched and not prompt.think_prefilled
        markers = None if none else opened_markers(self._model.text, self._traits, prompt.pair)
        text = closer_text(markers, self._model.tokenizer)
        return DecodingPlan(markers, prompt.think_prefilled, request.max_thinking_tokens, schema, calls, text)

    def _schema(self, schema: JsonSchema) -> TokenGrammar:
        schema = simplified(schema)
        refused = unsupported(schema)
        if refused:
            raise InvalidRequestError(
                f"response_schema: these keywords cannot be enforced: {', '.join(refused)}. "
                "Remove them and check the answer for what they say."
            )
        try:
            return self._grammars.compile(answer_grammar(_affordable(schema)))
        except GrammarError as error:
            raise InvalidRequestError(f"response_schema cannot be enforced: {error}. Simplify the schema.") from error

    def _calls(self, request: ChatRequest) -> tuple[ToolCallForm | None, list[str]]:
        """Return the form of tool calls.

        Formats other than JSON in one pair of markers stay unconstrained, unless a call is required: it is then written
        in the form that most models know.
        """
        tokenizer, required = self._model.tokenizer, bool(request.must_call)
        parser = getattr(tokenizer.tool_parser, "__module__", "")
        opener, closer = tokenizer.tool_call_start_tokens, tokenizer.tool_call_end_tokens
        if not parser.endswith(".json_tools") or not opener:
            if not required:
                return None, []
            opener, closer = (tokenizer.encode(tag, add_special_tokens=False) for tag in CALL_TAGS)
        tools = [tool for tool in request.callable_tools if not required or tool.name in request.must_call]
        if not tools:
            return None, []
        arguments, doubts = list[tuple[str, JsonSchema]](), list[str]()
        for tool in tools:
            held, reason = self._held_tool(tool)
            arguments.append(held)
            if reason:
                doubts.append(f"The arguments of {tool.name} are not held to all of its schema: {reason}.")
        newline = tuple(tokenizer.encode("\n", add_special_tokens=False))
        begin = partial(self._grammars.compile, call_grammar(arguments))
        if required:
            self._refuse_unless_compiled(begin)
        single = not request.parallel_tool_calls
        return ToolCallForm(tuple(opener), newline, tuple(closer), begin, required, single), doubts

    def _refuse_unless_compiled(self, begin: Callable[[], TokenGrammar]) -> None:
        try:
            begin()
        except GrammarError as error:
            name = self._model.info.id
            raise InvalidRequestError(f"tool_choice: no call can be forced from {name}: {error}.") from error

    def _held_tool(self, tool: ToolSpec) -> tuple[tuple[str, JsonSchema], str]:
        """Return name and schema that a call of the tool is held to, and why that is not the tool's own schema."""
        # Asked only once: an agent sends the same tools with every request, and compiling one takes a millisecond.
        key = json.dumps(tool.parameters)
        schema, reason = self._known_tools.get(key) or self._holdable(tool)
        if len(key) <= KNOWN_CHARACTERS:
            if len(self._known_tools) >= KNOWN_TOOLS and key not in self._known_tools:
                self._known_tools.clear()
            self._known_tools[key] = schema, reason
        return (tool.name, schema), reason

    def _holdable(self, tool: ToolSpec) -> tuple[JsonSchema, str]:
        """Find the part of a tool's schema that can be enforced: all, its structure, or that it is an object."""
        schema = argument_schema(tool)
        refused = unsupported(schema)
        reason = f"{', '.join(refused)} cannot be enforced" if refused else ""
        for kept in (schema, relaxed(schema)) if not refused else (relaxed(schema),):
            try:
                self._grammars.compile(call_grammar([(tool.name, _affordable(kept))]))
            except GrammarError as error:
                reason = reason or str(error)
            else:
                return kept, reason
        return {"type": "object"}, reason

    def _thinking_doubts(self, request: ChatRequest, prompt: Prompt) -> list[str]:
        """Warn about settings of reasoning that this model cannot follow."""
        if request.thinking is None and request.max_thinking_tokens is None:
            return []
        name, traits, doubts = self._model.info.id, self._traits, list[str]()
        bound = "max_thinking_tokens bounds it." if traits.markers else "It may think all the same."
        if request.thinking is False and traits.switch is not None and traits.switch.least:
            least = ", ".join(f"{key}={value}" for key, value in traits.switch.off.items())
            doubts.append(f"{name} cannot be told not to think: {least} is the least its template knows. {bound}")
        if request.thinking is False and traits.switch is None and self._model.text.tags:
            doubts.append(f"{name} cannot be told not to think: its chat template has no switch. {bound}")
        if request.thinking and traits.switch is None and not prompt.think_prefilled:
            what = "no switch for thinking in its chat template" if self._model.text.tags else "no thinking mode"
            doubts.append(f"{name} has {what}; thinking=true changed nothing.")
        if request.max_thinking_tokens is not None and not traits.markers and prompt.pair is None:
            doubts.append(f"{name} marks its reasoning in no known way; max_thinking_tokens changed nothing.")
        return doubts


def _affordable(schema: JsonSchema) -> JsonSchema:
    """Return a schema whose grammar can be compiled in time; else raise `GrammarError`."""
    if reason := excess(schema):
        raise GrammarError(reason)
    return schema


def closer_text(markers: ReasoningMarkers | None, tokenizer: Any) -> CloserText | None:
    """Return what finds a closer that is plain text; None where its ids can be followed."""
    if markers is None or not markers.closer_text:
        return None
    return CloserText(markers.closer_text, DecodedText(tokenizer))
