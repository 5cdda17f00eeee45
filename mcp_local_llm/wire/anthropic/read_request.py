"""Reads the body of a `POST /v1/messages`, and of `/v1/messages/count_tokens`. Pure.

Unknown fields are ignored with a warning, as betas add some every month; what Anthropic's own servers would do (their
tools, the editing of the context, the safety check of auto mode) is left out.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from mcp_local_llm.values.chat import ChatRequest, SamplingParams, ToolSpec
from mcp_local_llm.values.placeholders import filled_in
from mcp_local_llm.wire.anthropic.conversation import ConversationReader
from mcp_local_llm.wire.anthropic.errors import UnknownThreadError
from mcp_local_llm.wire.anthropic.request_schema import MessagesRequest
from mcp_local_llm.wire.json_values import as_object, as_text
from mcp_local_llm.wire.openai.errors import ParameterError
from mcp_local_llm.wire.openai.read_request import IncomingRequest, too_high, unknown_fields
from mcp_local_llm.wire.openai.tool_choice import choose_tools
from mcp_local_llm.wire.request_object import body_object

PLACEHOLDER = "DeferredToolPlaceholder"
"""A tool of Claude Code's that stands for nothing."""

IGNORED = frozenset(
    {
        "cache_control",
        "container",
        "context_management",
        "diagnostics",
        "inference_geo",
        "metadata",
        "safeguards",
        "service_tier",
        "speed",
    }
)
"""Fields that steer Anthropic's own servers and not what the answer says."""

_CHOICES = "auto, any, none, or tool with the name of one"


def read_messages_request(body: object) -> IncomingRequest:
    """Check a decoded JSON body and turn it into a request.

    Raises:
        ParameterError: a field is wrong; the message names it.
        UnknownThreadError: it holds only the newest part of a conversation.
    """
    given = filled_in(body_object(body))
    checked = _validated(given)
    if checked.thread is not None and checked.thread.type == "continue":
        raise UnknownThreadError()
    tools, deferred, skipped = _tools(checked.tools or [])
    reader = ConversationReader({tool.name: tool for tool in deferred})
    messages = reader.system(checked.system)
    for index, message in enumerate(checked.messages):
        messages += reader.message(message, f"messages.{index}")
    offered, must_call, single = _chosen(checked.tool_choice, (*tools, *deferred))
    thinking = checked.thinking
    request = ChatRequest(
        messages=tuple(messages),
        tools=tuple(tool for tool in tools if tool in offered),
        deferred_tools=tuple(tool for tool in deferred if tool in offered),
        sampling=SamplingParams(
            max_tokens=checked.max_tokens,
            temperature=checked.temperature,
            top_p=checked.top_p,
            top_k=checked.top_k,
            stop=tuple(checked.stop_sequences or ()),
        ),
        # Anthropic's models do not think unless they are told to; Claude Code says "do not" by leaving it out.
        thinking={"enabled": True, "adaptive": None, "disabled": False}[thinking.type] if thinking else False,
        max_thinking_tokens=thinking.budget_tokens if thinking and thinking.type != "disabled" else None,
        stream=checked.stream or False,
        response_schema=_schema(checked),
        must_call=must_call,
        parallel_tool_calls=not single,
    )
    warnings = (*_changed(given), *_warnings(Counter(reader.left_out), skipped))
    return IncomingRequest(request, checked.model, checked.stream or False, warnings=warnings)


def _validated(body: dict[str, Any]) -> MessagesRequest:
    try:
        return MessagesRequest.model_validate(body)
    except ValidationError as error:
        raise _refusal(error) from error


def _refusal(error: ValidationError, *above: str) -> ParameterError:
    """Tell the first fault as Anthropic does; `above` leads to what was checked."""
    problem = error.errors(include_url=False, include_input=False)[0]
    # Our own name of a tool's schema is another.
    place = ".".join(map(str, (*above, *problem["loc"]))).replace("parameters", "input_schema")
    words = "Field required" if problem["type"] == "missing" else problem["msg"]
    return ParameterError(f"{place}: {words}.", place)


def _tools(given: list[dict[str, Any]]) -> tuple[list[ToolSpec], list[ToolSpec], list[str]]:
    """Return the tools for the prompt, those that a reference brings in, and the names of those that cannot be had."""
    tools, deferred, skipped = list[ToolSpec](), list[ToolSpec](), list[str]()
    for index, tool in enumerate(given):
        if tool.get("type", "custom") != "custom":
            # Tools of Anthropic's servers or of its own models have no schema.
            skipped.append((as_text(tool.get("name")) or as_text(tool.get("type")))[:40])
        elif tool.get("name") != PLACEHOLDER:
            (deferred if tool.get("defer_loading") is True else tools).append(_tool(tool, f"tools.{index}"))
    return tools, deferred, skipped


def _tool(tool: Mapping[str, Any], place: str) -> ToolSpec:
    fields = {name: tool[name] for name in ("name", "description", "input_schema") if name in tool}
    try:
        return ToolSpec.model_validate(fields)
    except ValidationError as error:
        raise _refusal(error, place) from error


def _chosen(
    choice: Mapping[str, Any] | None, tools: tuple[ToolSpec, ...]
) -> tuple[tuple[ToolSpec, ...], tuple[str, ...], bool]:
    """Return the tools on offer, the names of those of which one must be called, and whether one call is allowed."""
    if choice is None:
        return tools, (), False
    if choice.get("type") not in ("auto", "any", "none", "tool"):
        raise ParameterError(f"tool_choice.type: it is {_CHOICES}.", "tool_choice.type")
    offered, must_call, single = choose_tools(dict(choice), tools)
    return offered, must_call, single or choice.get("disable_parallel_tool_use") is True


def _schema(checked: MessagesRequest) -> dict[str, Any] | None:
    form = (checked.output_config.format if checked.output_config else None) or checked.output_format
    if form is None or form.type == "text":
        return None
    if form.json_schema is None:
        raise ParameterError("output_config.format.schema: Field required.", "output_config.format.schema")
    return form.json_schema


def _changed(given: Mapping[str, Any]) -> list[str]:
    """Tell the limits that were lowered, and the fields that nothing here reads."""
    budget = as_object(given.get("thinking")).get("budget_tokens")
    lowered = too_high({"max_tokens": given.get("max_tokens"), "thinking.budget_tokens": budget})
    return [*lowered.values(), *unknown_fields(given, MessagesRequest.model_fields.keys() | IGNORED)]


def _warnings(left_out: Counter[str], skipped: list[str]) -> tuple[str, ...]:
    warnings: list[str] = []
    if left_out:
        parts = ", ".join(f"{count} x {name}" for name, count in left_out.items())
        warnings.append(f"Left out of the conversation, because this model reads text only: {parts}.")
    if skipped:
        names = ", ".join(skipped[:10])
        warnings.append(f"Tools that only Anthropic's own servers have were left out: {names}.")
    return tuple(warnings)
