"""The tools of a Responses request, written as the functions of a chat completion, and the way back for their calls.

A namespace's tools and custom tools are functions for the model; a client wants their calls back in its own form. Pure.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mcp_local_llm.wire.json_values import JsonObject, as_list, as_object, as_text

HOSTED_TOOLS = (
    "apply_patch",
    "code_interpreter",
    "computer",
    "computer_use_preview",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "programmatic_tool_calling",
    "shell",
    "tool_search",
    "web_search",
)
"""Types of tools that OpenAI's own servers execute or that need a model of theirs; dated ones begin with these."""

CUSTOM_INPUT = "input"
"""The one parameter of a custom tool: its text."""


@dataclass(frozen=True)
class ToolName:
    """A tool as the client named it."""

    name: str
    namespace: str | None = None
    kind: Literal["function", "custom"] = "function"


@dataclass(frozen=True)
class ToolNames:
    """The name of each tool in the prompt → the client's own."""

    tools: Mapping[str, ToolName] = field(default_factory=dict[str, ToolName])

    def in_prompt(self, name: str, namespace: str | None = None) -> str:
        """Return the name that a tool has in the prompt; its own where it is not offered any more."""
        found = (key for key, tool in self.tools.items() if (tool.name, tool.namespace) == (name, namespace))
        return next(found, name)

    def of_call(self, name: str) -> ToolName:
        """Return the client's name of a called tool; a model may write the namespace before it, or leave that out."""
        if name in self.tools:
            return self.tools[name]
        meant = [tool for tool in self.tools.values() if name in _spellings(tool)]
        return meant[0] if len(meant) == 1 else ToolName(name)


@dataclass(frozen=True)
class OfferedFunctions:
    """The tools of a request.

    Attributes:
        functions: as a chat completion has them.
        places: where each stands in the request.
        names: their names, both ways.
        warnings: one sentence each, for the client.
    """

    functions: list[dict[str, Any]]
    places: tuple[str, ...]
    names: ToolNames
    warnings: tuple[str, ...]


def offered_functions(tools: Sequence[object]) -> OfferedFunctions:
    """Read the member `tools`; hosted tools are skipped, and unknown kinds with a warning."""
    found, unknown = list(_tools(tools)), list[str]()
    functions, places, names = list[dict[str, Any]](), list[str](), dict[str, ToolName]()
    plain = Counter(as_text(tool.get("name")) for tool, _, _ in found)
    for tool, namespace, place in found:
        kind, name = as_text(tool.get("type")) or "function", as_text(tool.get("name"))
        if kind.startswith(HOSTED_TOOLS):
            continue
        if kind not in ("function", "custom"):
            unknown.append(f"{kind[:40]!r} in {place}")
            continue
        in_prompt = f"{namespace}__{name}" if namespace and plain[name] > 1 else name
        functions.append({"type": "function", "function": _function(tool, in_prompt)})
        places.append(place)
        if in_prompt:
            names[in_prompt] = ToolName(name, namespace, "custom" if kind == "custom" else "function")
    told = f"Tools of a type that is unknown here were left out: {', '.join(unknown[:5])}."
    return OfferedFunctions(functions, tuple(places), ToolNames(names), (told,) if unknown else ())


def function_choice(choice: object, names: ToolNames) -> object:
    """Write the member `tool_choice` with the names of the prompt; an allowed tool that is hosted is left out."""
    match choice:
        case {"type": "allowed_tools"}:
            whole = as_object(choice)
            listed = as_list((as_object(whole.get("allowed_tools")) or whole).get("tools"))
            named = [tool for entry in listed for tool in _named(as_object(entry), names)]
            return {"type": "allowed_tools", "mode": whole.get("mode"), "tools": named}
        case {"type": "function" | "custom", "name": str()}:
            return _named(as_object(choice), names)[0]
        case _:
            return choice


def _named(entry: JsonObject, names: ToolNames) -> list[dict[str, Any]]:
    """Return the functions that an entry of `tool_choice` means: one, those of a namespace, or none."""
    kind, name = as_text(entry.get("type")) or "function", as_text(entry.get("name"))
    if kind == "namespace":
        meant = [key for key, tool in names.tools.items() if tool.namespace == name]
    elif kind in ("function", "custom"):
        namespace = as_text(entry.get("namespace")) or None
        exact = names.in_prompt(name, namespace)
        of_call = names.of_call(name)
        meant = [exact if exact in names.tools else names.in_prompt(of_call.name, of_call.namespace)]
    else:
        meant = []
    return [{"type": "function", "name": key} for key in meant]


def _tools(tools: Sequence[object]) -> Iterator[tuple[JsonObject, str | None, str]]:
    """Yield each tool with its namespace and its place; what a namespace says of itself stands in its first tool."""
    for index, entry in enumerate(tools):
        tool, place = as_object(entry), f"tools[{index}]"
        if tool.get("type") != "namespace":
            yield as_object(tool.get("function")) or tool, None, place
            continue
        about = as_text(tool.get("description"))
        for number, inner in enumerate(map(as_object, as_list(tool.get("tools")))):
            if about and number == 0:
                inner = {**inner, "description": f"{about}\n\n{as_text(inner.get('description'))}".strip()}
            yield inner, as_text(tool.get("name")) or None, f"{place}.tools[{number}]"


def _function(tool: JsonObject, name: str) -> dict[str, Any]:
    if tool.get("type") != "custom":
        kept = {key: tool[key] for key in ("description", "parameters") if key in tool}
        return {"name": name, **kept}
    form = as_object(tool.get("format"))
    rule = f"The input follows this grammar ({as_text(form.get('syntax'))}):\n{as_text(form.get('definition'))}"
    parts = [as_text(tool.get("description")), rule if form.get("type") == "grammar" else ""]
    parameters = {
        "type": "object",
        "properties": {CUSTOM_INPUT: {"type": "string"}},
        "required": [CUSTOM_INPUT],
        "additionalProperties": False,
    }
    return {"name": name, "description": "\n\n".join(filter(None, parts)), "parameters": parameters}


def _spellings(tool: ToolName) -> tuple[str, ...]:
    if tool.namespace is None:
        return (tool.name,)
    return tool.name, *(f"{tool.namespace}{joint}{tool.name}" for joint in ("__", ".", "/", ":"))
