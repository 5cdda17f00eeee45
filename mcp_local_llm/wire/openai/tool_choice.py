"""The field `tool_choice`, both ways: which tools a model may call, and which one it must. Pure."""

from collections.abc import Mapping
from typing import Any

from mcp_local_llm.values.chat import ChatRequest, ToolSpec
from mcp_local_llm.wire.flavors import ForcedCalls
from mcp_local_llm.wire.json_values import as_list, as_object, as_text
from mcp_local_llm.wire.openai.errors import ParameterError

_FORMS = '\'none\', \'auto\', \'required\' or {"type": "function", "function": {"name": ...}}'


def choose_tools(choice: object, tools: tuple[ToolSpec, ...]) -> tuple[tuple[ToolSpec, ...], tuple[str, ...], bool]:
    """Return the tools to offer, the names of those of which one must be called, and whether one call is meant.

    Besides OpenAI's forms, `any` means `required`, and a name may stand beside `type`.

    Raises:
        ParameterError: another form, or a tool that is not offered.
    """
    match choice or None:
        case None | "auto" | {"type": "auto"}:
            return tools, (), False
        case "none" | {"type": "none"}:
            return (), (), False
        case "required" | "any" | {"type": "required" | "any"}:
            return tools, _names(tools), False
        case {"type": "allowed_tools"}:
            # OpenAI nests the list, its Responses API does not.
            whole = as_object(choice)
            allowed = as_object(whole.get("allowed_tools")) or whole
            names = [_name(entry) for entry in as_list(allowed.get("tools"))]
            offered = tuple(_named(tools, name) for name in names)
            return offered, _names(offered) if allowed.get("mode") == "required" else (), False
        case {"type": "function" | "tool"}:
            return tools, (_named(tools, _name(choice)).name,), True
        case _:
            raise ParameterError(f"tool_choice must be {_FORMS}.", "tool_choice")


def write_tools(request: ChatRequest, forced: ForcedCalls) -> dict[str, Any]:
    """Write the fields about tools for a server that lets calls be forced in this way.

    To a server that knows no named call, only the named tool is offered.
    """
    tools, body = request.callable_tools, dict[str, Any]()
    if len(request.must_call) == 1 and forced == "named":
        body["tool_choice"] = {"type": "function", "function": {"name": request.must_call[0]}}
    elif request.must_call:
        tools = tuple(tool for tool in tools if tool.name in request.must_call)
        body["tool_choice"] = "required"
    if not request.parallel_tool_calls and forced:
        body["parallel_tool_calls"] = False
    return {"tools": [tool.openai() for tool in tools], **body} if tools else {}


def _names(tools: tuple[ToolSpec, ...]) -> tuple[str, ...]:
    if not tools:
        raise ParameterError("tool_choice asks for a call, but there are no tools. Put some into tools.", "tool_choice")
    return tuple(tool.name for tool in tools)


def _name(choice: object) -> str:
    entry: Mapping[str, Any] = as_object(choice)
    return as_text(as_object(entry.get("function")).get("name")) or as_text(entry.get("name"))


def _named(tools: tuple[ToolSpec, ...], name: str) -> ToolSpec:
    for tool in tools:
        if tool.name == name:
            return tool
    offered = ", ".join(tool.name for tool in tools)[:500] or "none"
    raise ParameterError(f"tool_choice names {name[:100]!r}, which is not in tools ({offered}).", "tool_choice")
