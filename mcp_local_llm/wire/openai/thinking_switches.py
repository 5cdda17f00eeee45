"""Reads the switches for thinking of all known servers: a client sends the one that it knows. Pure.

OpenAI has `reasoning_effort`, vLLM and llama.cpp `chat_template_kwargs`, DashScope and SiliconFlow `enable_thinking`,
Ollama `think`, OpenRouter and LM Studio `reasoning`, Anthropic, GLM, DeepSeek and Kimi `thinking`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import Field, TypeAdapter, ValidationError

from mcp_local_llm.values.numbers import NO_BOOLEAN
from mcp_local_llm.values.placeholders import filled_in
from mcp_local_llm.wire.json_values import as_object
from mcp_local_llm.wire.openai.errors import ParameterError

SWITCHES = ("chat_template_kwargs", "enable_thinking", "thinking", "think", "reasoning", "reasoning_effort")
"""Fields of a request that switch thinking; the first one that says anything wins."""
BUDGETS = ("thinking_budget", "thinking_token_budget", "reasoning_budget")
"""Other servers' names of `max_thinking_tokens`."""

_INNER_SWITCHES = ("enable_thinking", "enabled", "thinking", "type", "effort", "reasoning_effort")
_BUDGET: TypeAdapter[int] = TypeAdapter(Annotated[int, Field(ge=0), NO_BOOLEAN])
_INNER_BUDGETS = ("budget_tokens", "max_tokens", "thinking_budget")
_TEMPLATE_VARIABLES: Mapping[str, object] = {"add_generation_prompt": True, "preserve_thinking": True}
"""Variables of chat templates → the value that they have here anyway."""

_OFF = frozenset({"none", "off", "disabled", "false", "no", "0"})
_ON = frozenset({"minimal", "low", "medium", "high", "xhigh", "max", "on", "enabled", "true", "yes", "1"})
_OPEN = frozenset({"auto", "adaptive", "default"})

SWITCH_SCHEMA: Mapping[str, Any] = {
    "anyOf": [{"type": ["boolean", "object", "null"]}, {"enum": sorted(_OFF | _ON | _OPEN)}, {"enum": [0, 1]}]
}
"""JSON Schema of a switch."""


def thinking_of(body: Mapping[str, Any]) -> bool | None:
    """Return whether a request asks for thinking; None leaves it to the model.

    Raises:
        ParameterError: a switch has an unknown value, or `chat_template_kwargs` a variable that is not supported.
    """
    read = [_switch(body[name], name) for name in SWITCHES if name in body]
    return next((on for on in read if on is not None), None)


def thinking_budget_of(body: Mapping[str, Any]) -> int | None:
    """Return the tokens of reasoning that a request allows in another server's words; None where it names none.

    Raises:
        ParameterError: a budget is no number of tokens; -1 is none, as elsewhere.
    """
    given = [(name, body[name]) for name in BUDGETS if name in body]
    for name in SWITCHES:
        fields = filled_in(as_object(body.get(name)))
        given += [(f"{name}.{key}", fields[key]) for key in _INNER_BUDGETS if key in fields]
    budgets = [_budget(value, name) for name, value in given]
    return next((budget for budget in budgets if budget is not None), None)


def _budget(value: object, name: str) -> int | None:
    if value == -1:
        return None
    try:
        return _BUDGET.validate_python(value)
    except ValidationError as error:
        raise ParameterError(
            f"Invalid value for '{name}': {error.errors(include_url=False)[0]['msg']}.", name
        ) from error


def _switch(value: object, name: str) -> bool | None:
    if isinstance(value, dict):
        fields = filled_in(as_object(cast(object, value)))
        if name == "chat_template_kwargs":
            _refuse_variables(fields, name)
        read = [_switch(fields[key], f"{name}.{key}") for key in _INNER_SWITCHES if key in fields]
        return next((on for on in read if on is not None), None)
    word = str(value).lower()
    if isinstance(value, int | str) and word in _OFF | _ON:
        return word in _ON
    if isinstance(value, str) and word in _OPEN:
        return None
    known = ", ".join(sorted(_OFF | _ON | _OPEN))
    raise ParameterError(f"Invalid value for '{name}': it can be true, false or one of {known}.", name)


def _refuse_variables(fields: Mapping[str, Any], name: str) -> None:
    for key, value in fields.items():
        known = key in _INNER_SWITCHES + _INNER_BUDGETS or value is _TEMPLATE_VARIABLES.get(key)
        if not known:
            place = f"{name}.{key[:80]}"
            raise ParameterError(f"{place} is not supported by this server; leave it out.", place)
