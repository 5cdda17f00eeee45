"""The part of the tools that works on files: `draft`, and the arguments and result of `chat` with files."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, ContentBlock, ResourceLink, TextContent, ToolAnnotations
from pydantic import Field

from mcp_local_llm.delegation.delegation import Delegation
from mcp_local_llm.delegation.task import DraftOrder, FileAnswer, FileTask
from mcp_local_llm.doors.mcp.descriptions import DRAFT
from mcp_local_llm.doors.mcp.progress import reporting
from mcp_local_llm.doors.mcp.strict_tool import RESULT_META, StrictTool, told_of
from mcp_local_llm.doors.results_text import calls_text, numbers_of
from mcp_local_llm.values.chat import ChatRequest, MaxTokens, SamplingParams, Temperature
from mcp_local_llm.values.errors import FileAccessError
from mcp_local_llm.values.numbers import NO_BOOLEAN

TemplateName = Literal[
    "boilerplate",
    "classify-logs",
    "commit-message",
    "condense",
    "docstrings",
    "explain-error",
    "extract",
    "review",
    "summarise",
    "tests",
    "translate",
]
"""The templates of this installation; the user's own are for the command line."""

Files = Annotated[
    str | list[str] | None,
    Field(
        description="Read here, so their text costs you nothing: paths, `path:10-80`, patterns (`src/**/*.py`), "
        "`git:staged`, `git:A..B`."
    ),
]
EachFile = Annotated[bool, Field(description="Ask the same of every file by itself; one row a file comes back.")]
Split = Annotated[bool, Field(description="Read what is longer than the window in parts.")]
Template = Annotated[TemplateName | None, Field(description="A proven task; `message` completes it.")]
MaxSeconds = Annotated[
    float | None,
    Field(gt=0, le=86_400, description="With each_file: end then with the rows there are; the same call goes on."),
    NO_BOOLEAN,
]

SANDBOX = "x-codex-turn-metadata"
"""Key of `_meta` under which Codex tells its sandbox."""


def draft_tool(delegation: Delegation) -> StrictTool:
    """Make the tool `draft`."""

    async def draft(
        path: Annotated[str, Field(description="The file to write; with each_file it holds {stem}, {name} or {dir}.")],
        ctx: Context[Any, Any],
        message: Annotated[str, Field(description="What to write; the model sees this and the files.")] = "",
        files: Files = None,
        each_file: Annotated[
            bool, Field(description="One file for each file read, or rows where path ends in .jsonl.")
        ] = False,
        split: Split = False,
        template: Template = None,
        response_schema: Annotated[dict[str, Any] | None, Field(description="JSON Schema of the file.")] = None,
        overwrite: Annotated[bool, Field(description="Replace a file that exists; the old one is kept.")] = False,
        restore: Annotated[bool, Field(description="Bring back what the last draft replaced.")] = False,
        model: Annotated[str, Field(description="As in chat.")] = "",
        system: Annotated[str, Field(description="System prompt.")] = "",
        thinking: Annotated[bool | None, Field(description="As in chat.")] = None,
        max_tokens: Annotated[MaxTokens | None, Field(description="As in chat.")] = None,
        max_seconds: MaxSeconds = None,
        temperature: Annotated[Temperature | None, Field(description="As in chat.")] = None,
    ) -> CallToolResult:
        _refuse_read_only(ctx)
        request = ChatRequest(
            (), sampling=SamplingParams(max_tokens, temperature), thinking=thinking, response_schema=response_schema
        )
        task = FileTask(files, message, system, request, model or None, each_file, split, template, max_seconds)
        order = DraftOrder(path, task, overwrite, restore)
        async with reporting(ctx) as report:
            return file_result(await delegation.draft(order, report))

    return StrictTool.of(
        draft,
        title="Draft a file with the local model",
        description=DRAFT,
        annotations=ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=False),
    )


def file_result(answer: FileAnswer) -> CallToolResult:
    """Put this program's words and the model's into blocks of their own; links to files follow."""
    said = told_of(answer.result) if answer.single else answer.result.switch_note
    texts = (" ".join(part for part in (answer.head, f"[{said}]" if said else "") if part), answer.body)
    blocks: list[ContentBlock] = [TextContent(type="text", text=text) for text in texts if text]
    if answer.result.tool_calls:
        blocks.append(TextContent(type="text", text=calls_text(answer.result.tool_calls)))
    blocks += [
        ResourceLink(type="resource_link", name=path.name, uri=path.absolute().as_uri()) for path in answer.files
    ]
    numbers = numbers_of(answer.result) | {"files": answer.saved.as_json()}
    return CallToolResult(content=blocks, is_error=answer.failed, _meta={RESULT_META: numbers})


def unread_files(named: Sequence[str]) -> str:
    """Return a sentence where a message named files of the project, none of which the model has seen."""
    if not named:
        return ""
    files = json.dumps(list(named), ensure_ascii=False)
    return f"The model saw no file. To let it read what the message names, call again with files={files}."


def _refuse_read_only(ctx: Context[Any, Any]) -> None:
    """Obey the sandbox of Codex, which this process is not in.

    Raises:
        FileAccessError: it is read-only.
    """
    params = cast(Mapping[str, Any], ctx.request_context.params or {})
    turn: object = cast(Mapping[str, object], params.get("_meta") or {}).get(SANDBOX)
    if isinstance(turn, str):
        try:
            turn = json.loads(turn)
        except (ValueError, RecursionError):
            return
    if isinstance(turn, dict) and cast(dict[str, object], turn).get("sandbox_mode") == "read-only":
        raise FileAccessError(
            "Codex runs this conversation in a read-only sandbox, so nothing is written. Ask the user to allow writes.",
            "read-only",
        )
