"""Reads the body of a `POST /chat/completions` that a client sends to our server. Pure.

A field that would change the answer and is not supported here is refused by name, whichever server has it. One that
cannot change the answer is ignored, and so is an unknown one, with a warning.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from mcp_local_llm.values.chat import LONGEST_ANSWER, ChatRequest, Message, SamplingParams, ToolCall, ToolSpec
from mcp_local_llm.values.errors import first_of, shortened
from mcp_local_llm.values.placeholders import filled_in
from mcp_local_llm.wire.json_values import require_few_values
from mcp_local_llm.wire.openai.earlier_turns import newest_turn, with_readable_past
from mcp_local_llm.wire.openai.errors import ParameterError
from mcp_local_llm.wire.openai.request_schema import (
    ChatCompletionRequest,
    MessageIn,
    ResponseFormat,
    ToolCallIn,
    ToolIn,
)
from mcp_local_llm.wire.openai.thinking_switches import BUDGETS, SWITCHES, thinking_budget_of, thinking_of
from mcp_local_llm.wire.openai.tool_choice import choose_tools
from mcp_local_llm.wire.request_object import body_object

MAX_NAMED, MAX_NAME = 10, 40
"""Unknown fields that a warning names, and characters of each name."""

IGNORED = frozenset(
    {
        "cache_prompt",
        "keep_alive",
        "metadata",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
        "verbosity",
    }
)
"""Fields that cannot change what the answer says, whatever their value."""

UNSUPPORTED: Mapping[str, tuple[object, ...]] = {
    "add_generation_prompt": (True,),
    "audio": (),
    "bad_words": (),
    "best_of": (1,),
    "chat_template": (),
    "continue_final_message": (False,),
    "documents": (),
    "dry_multiplier": (0,),
    "ebnf": (),
    "echo": (False,),
    "format": (),
    "function_call": ("auto", "none"),
    "functions": (),
    "grammar": (),
    "guided_choice": (),
    "guided_grammar": (),
    "guided_json": (),
    "guided_regex": (),
    "ignore_eos": (False,),
    "images": (),
    "json_schema": (),
    "length_penalty": (1,),
    "logit_bias": (),
    "logprobs": (False,),
    "min_tokens": (0,),
    "mirostat": (0,),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "options": (),
    "prompt_logprobs": (),
    "regex": (),
    "stop_token_ids": (),
    "structured_outputs": (),
    "suffix": (),
    "tfs_z": (1,),
    "top_a": (0,),
    "top_logprobs": (0,),
    "typical_p": (1,),
    "use_beam_search": (False,),
    "web_search_options": (),
    "xtc_probability": (0,),
}
"""Fields of OpenAI and of other servers that are not supported here → the values, besides placeholders, that ask for
nothing."""

ALIASES: Mapping[str, str] = {
    "max_new_tokens": "max_tokens",
    "n_predict": "max_tokens",
    "num_predict": "max_tokens",
    "repeat_penalty": "repetition_penalty",
}
"""Other servers' names of our fields."""


@dataclass(frozen=True)
class IncomingRequest:
    """A request, and the form in which the client wants the answer.

    Attributes:
        model: the requested model; None is the chosen one.
        stream: send events instead of one JSON body.
        include_usage: a stream ends with an event that tells the usage.
        warnings: one sentence each, for the client.
    """

    request: ChatRequest
    model: str | None
    stream: bool
    include_usage: bool = False
    warnings: tuple[str, ...] = ()


def incoming_request(body: object) -> IncomingRequest:
    """Check a decoded JSON body and turn it into a request.

    Raises:
        ParameterError: a field is unsupported or wrong; `param` names it.
    """
    given = body_object(body)
    fields, warnings = _lowered(_supported(given))
    messages, kept = fields.get("messages"), list[str]()
    if isinstance(messages, list):
        turns = cast(list[object], messages)
        fields["messages"], kept = with_readable_past(turns, newest_turn(turns))
    sent_as = {ALIASES[name]: name for name in given if name in ALIASES and ALIASES[name] not in given}
    checked = _validated(fields, sent_as)
    messages = tuple(_message(message, f"messages[{index}]") for index, message in enumerate(checked.messages))
    stream, options = checked.stream or False, checked.stream_options
    tools, must_call, single = choose_tools(checked.tool_choice, _tools(checked.tools or []))
    request = ChatRequest(
        messages=messages,
        tools=tools,
        sampling=_sampling(checked),
        thinking=thinking_of(fields),
        stream=stream and (options is None or options.include_text),
        max_thinking_tokens=checked.max_thinking_tokens,
        response_schema=_schema(checked.response_format),
        must_call=must_call,
        parallel_tool_calls=checked.parallel_tool_calls is not False and not single,
    )
    include_usage = options is not None and options.include_usage
    return IncomingRequest(request, checked.model, stream, include_usage, (*warnings, *kept, *_unknown(fields)))


def _supported(body: dict[str, Any]) -> dict[str, Any]:
    """Drop placeholders and ignored fields, write other servers' names as ours, and refuse unsupported fields."""
    given = filled_in(body)
    for name, nothing in UNSUPPORTED.items():
        if name in given and given[name] not in nothing:
            raise ParameterError(f"{name} is not supported by this server; leave it out.", name)
    renamed = filled_in({ALIASES[name]: value for name, value in given.items() if name in ALIASES})
    unread = IGNORED | UNSUPPORTED.keys() | ALIASES.keys()
    fields = renamed | {name: value for name, value in given.items() if name not in unread}
    if "max_thinking_tokens" not in fields and (budget := thinking_budget_of(fields)) is not None:
        fields["max_thinking_tokens"] = budget
    return fields


def _lowered(fields: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Lower limits of tokens that are above the largest one, with a warning for each."""
    names = ("max_tokens", "max_completion_tokens", "max_thinking_tokens")
    high = too_high({name: fields.get(name) for name in names})
    return fields | dict.fromkeys(high, LONGEST_ANSWER), list(high.values())


def too_high(limits: Mapping[str, object]) -> dict[str, str]:
    """Return the limits of tokens that are lowered because they are above the largest one, each with its warning."""
    return {
        name: f"{name} was lowered to {LONGEST_ANSWER:,}, the largest value."
        for name, value in limits.items()
        if isinstance(value, int | float) and value > LONGEST_ANSWER
    }


def _unknown(fields: Mapping[str, Any]) -> list[str]:
    """Return the warning about fields that nothing here reads."""
    return unknown_fields(fields, {*ChatCompletionRequest.model_fields, *SWITCHES, *BUDGETS})


def unknown_fields(fields: Iterable[str], known: Collection[str]) -> list[str]:
    """Return the warning about fields that are not `known`, if there are any."""
    names = [name[:MAX_NAME] for name in fields if name not in known]
    return [f"Fields that are unknown here were ignored: {first_of(names, MAX_NAMED)}."] if names else []


def _validated(body: dict[str, Any], sent_as: Mapping[str, str]) -> ChatCompletionRequest:
    """Check the fields; `sent_as` has the client's own names of fields."""
    try:
        return ChatCompletionRequest.model_validate(body)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        param = _dotted(problem["loc"])
        param = sent_as.get(param, param)
        if problem["type"] == "missing":
            needed = " It needs at least 1 message." if param == "messages" else ""
            raise ParameterError(f"Missing required parameter: '{param}'.{needed}", param) from error
        raise ParameterError(f"Invalid value for '{param}': {problem['msg']}.", param) from error


def _dotted(location: tuple[int | str, ...]) -> str:
    """Write a place as OpenAI does: `messages[0].role`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def _message(message: MessageIn, place: str) -> Message:
    for index, part in enumerate(message.content):
        if part.type != "text":
            param = f"{place}.content[{index}].type"
            raise ParameterError(
                f"{param}: parts of type {shortened(part.type)!r} are not supported, only text.", param
            )
    return Message(
        role="system" if message.role == "developer" else message.role,
        content="".join(part.text for part in message.content),
        name=message.name,
        tool_call_id=message.tool_call_id,
        reasoning=message.reasoning if message.role == "assistant" else "",
        tool_calls=[_call(call, f"{place}.tool_calls[{index}]") for index, call in enumerate(message.tool_calls or [])],
    )


def _call(call: ToolCallIn, place: str) -> ToolCall:
    param, text = f"{place}.function.arguments", call.function.arguments or "{}"
    try:
        require_few_values(text)
        arguments: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"{param} must be the text of a JSON object: {error}.", param) from error
    if not isinstance(arguments, dict):
        raise ParameterError(f"{param} must be the text of a JSON object.", param)
    return ToolCall(name=call.function.name, arguments=cast(dict[str, Any], arguments), id=call.id)


def _tools(tools: list[ToolIn]) -> tuple[ToolSpec, ...]:
    try:
        return TypeAdapter(tuple[ToolSpec, ...]).validate_python([tool.function for tool in tools])
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        index, *rest = problem["loc"]
        param = _dotted(("tools", index, "function", *rest))
        raise ParameterError(f"Invalid value for '{param}': {problem['msg']}.", param) from error


def _sampling(body: ChatCompletionRequest) -> SamplingParams:
    """Read the fields that have the names of ours; OpenAI's newer name of `max_tokens` wins."""
    values: dict[str, Any] = {field.name: getattr(body, field.name) for field in fields(SamplingParams)}
    values |= {"max_tokens": body.max_completion_tokens or body.max_tokens, "stop": tuple(body.stop or ())}
    return SamplingParams(**values)


def _schema(form: ResponseFormat | None) -> dict[str, Any] | None:
    """Return the schema that the answer must meet; without one, JSON means any object."""
    if form is None or form.type == "text":
        return None
    if form.type == "json_schema" and form.json_schema is None and form.beside is None:
        raise ParameterError(
            "Missing required parameter: 'response_format.json_schema'.", "response_format.json_schema"
        )
    inner = form.json_schema.json_schema if form.json_schema is not None else None
    return inner or form.beside or {"type": "object"}
