"""A tool that refuses unknown arguments, with errors that an agent can act on; and the results of tools.

The SDK ignores arguments it does not know, publishes pydantic's titles with every schema, and hands validation errors
on with links to pydantic's manual. A small subclass mends all three through the SDK's public `Tool`.
"""

from collections.abc import Callable
from typing import Any, Self, cast

from mcp.server.context import HandlerResult
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ContentBlock, TextContent, ToolAnnotations
from pydantic import BaseModel, ValidationError

from mcp_local_llm.doors.mcp.descriptions import SEARCH_HINTS
from mcp_local_llm.doors.results_text import NoteWording, calls_text, note, numbers_of
from mcp_local_llm.values.call import mark_failed
from mcp_local_llm.values.chat import ChatResult
from mcp_local_llm.values.errors import InvalidRequestError, LocalLLMError, shortened
from mcp_local_llm.values.placeholders import filled_in
from mcp_local_llm.wire.json_values import encodable_values, require_few_values

NOTE_WORDING = NoteWording(
    longer="with a larger max_tokens",
    no_thinking="Call again with thinking=false",
    higher_temperature="call again with a higher temperature",
)
"""How a note names the arguments of `chat`."""


MAX_FAULTS = 10
"""Faults of one call that a refusal tells."""


RESULT_META = "local-llm/result"
"""Key of the numbers in `_meta`: clients do not show it to their model."""
REQUEST_META = "local-llm/request"
"""Key of the id by which the log names a call."""


FILES_MEANT = frozenset({"file", "path", "paths", "filename", "filenames", "file_path", "file_paths"})
"""What other servers call `files`."""


class StrictTool(Tool):
    """One tool of this server."""

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        description: str,
        title: str,
        annotations: ToolAnnotations,
        meta: dict[str, Any] | None = None,
    ) -> Self:
        """Make the tool from its function; the signature is the schema, without a structured result of its own."""
        meta = meta or {"anthropic/searchHint": SEARCH_HINTS[function.__name__]}
        tool = cls.from_function(function, description=description, title=title, annotations=annotations, meta=meta)
        # `run` refuses them; building pydantic's model anew with extra="forbid" would cost the handshake 10 ms.
        tool.parameters = {**without_titles(tool.parameters), "additionalProperties": False}
        return cast(Self, tool)

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        """Run the tool; a `LocalLLMError` and a refused argument become the text of a tool error."""
        known = cast(dict[str, Any], self.parameters["properties"])
        if unknown := [name for name in arguments if name not in known]:
            names = ", ".join(f"'{shortened(name)}'" for name in unknown[:MAX_FAULTS])
            mark_failed(InvalidRequestError())
            meant = " Did you mean 'files'?" if "files" in known and FILES_MEANT.intersection(unknown) else ""
            raise ToolError(
                f"There is no argument {names}.{meant} Arguments of {self.name}: {', '.join(known) or 'none'}."
            )
        self._require_few_values(arguments)
        try:
            return await super().run(self._filled_in(arguments), context, convert_result)
        except ToolError as error:
            match error.__cause__:
                case LocalLLMError() as cause:
                    mark_failed(cause)
                    raise ToolError(str(cause)) from cause
                case ValidationError() as cause if not isinstance(error, UnexpectedToolError):
                    mark_failed(InvalidRequestError())
                    raise ToolError(self._refusal(cause)) from cause
                case _:
                    mark_failed(error.__cause__ or error)
                    raise

    def _require_few_values(self, arguments: dict[str, Any]) -> None:
        """Refuse an argument that is JSON in a text, which the SDK decodes, where it has too many values."""
        fields = self.fn_metadata.arg_model.model_fields
        plain = {name for name, field in fields.items() if field.annotation is str}
        for name, text in arguments.items():
            if isinstance(text, str) and name not in plain:
                try:
                    require_few_values(text)
                except ValueError as error:
                    mark_failed(InvalidRequestError())
                    raise ToolError(f"{name}: {error}.") from error

    def _filled_in(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Drop placeholders, also those that are JSON in a text; a required argument is then an empty text."""
        given = filled_in(self.fn_metadata.pre_parse_json(filled_in(arguments)))
        required = cast(list[str], self.parameters.get("required", []))
        return given | {name: "" for name in required if name in arguments and name not in given}

    def _refusal(self, error: ValidationError) -> str:
        sentences: list[str] = []
        for problem in error.errors(include_url=False, include_context=False)[:MAX_FAULTS]:
            path = ".".join(shortened(str(part)) for part in problem["loc"])
            if problem["type"] == "extra_forbidden":
                sentences.append(f"There is no '{path}'.")
            elif problem["type"] == "missing":
                sentences.append(f"The argument '{path}' is missing.")
            else:
                sentences.append(f"{path}: {problem['msg']}; got {shortened(repr(problem['input']))}.")
        return " ".join(dict.fromkeys(sentences))


def chat_result(result: ChatResult, more: str = "") -> CallToolResult:
    """Plain text first, then parsed tool calls as a JSON list, then the server's own words; no structured content.

    The server's words have a block of their own, so that no model can write them.

    Claude Code and Codex show their model only the JSON of a structured result, so an answer would arrive as one
    escaped line.
    """
    said = " ".join(part for part in (told_of(result), more) if part)
    notes = [TextContent(type="text", text=f"[{said}]")] if said else []
    blocks = [TextContent(type="text", text=result.text)] if result.text or not said else notes
    if result.tool_calls:
        blocks = [*blocks, TextContent(type="text", text=calls_text(result.tool_calls))]
    if result.text:
        blocks += notes
    return CallToolResult(content=[*blocks], _meta={RESULT_META: numbers_of(result)})


def with_request_id(result: HandlerResult, ident: str) -> HandlerResult:
    """Return the result of a tool, as it goes onto the wire, with the id of its call in `_meta`.

    The SDK drops an answer that UTF-8 cannot hold, and the client would wait for it for ever.
    """
    if not isinstance(result, dict):
        return result
    return encodable_values({**result, "_meta": {**result.get("_meta", {}), REQUEST_META: ident}})


def told_of(result: ChatResult) -> str:
    """Return what the server says of an answer: that it is cut off, or that another session changed the model."""
    return " ".join(part for part in (note(result, NOTE_WORDING), result.switch_note) if part)


def report_result(report: BaseModel, *texts: str) -> CallToolResult:
    """Return a structured value and its texts side by side, each a block; a client shows the one or the others."""
    blocks: list[ContentBlock] = [TextContent(type="text", text=text) for text in texts]
    return CallToolResult(content=blocks, structured_content=report.model_dump(mode="json"))


def without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop the titles that pydantic derives from field names: they cost tokens in every session."""

    def strip(node: Any, *, names: bool) -> Any:
        if isinstance(node, dict):
            items = cast(dict[str, Any], node).items()
            # Below "properties" and "$defs" the keys are names of the user's choice, not keywords.
            return {
                key: strip(value, names=not names and key in ("properties", "$defs"))
                for key, value in items
                if names or key != "title"
            }
        if isinstance(node, list):
            return [strip(item, names=False) for item in cast(list[Any], node)]
        return node

    return cast(dict[str, Any], strip(schema, names=False))
