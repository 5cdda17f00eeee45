"""The tools: each reads its arguments, calls one verb and writes the result."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any, cast

import anyio.to_thread
from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, Resolve
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, BeforeValidator, Field, create_model

from mcp_local_llm.delegation.delegation import Delegation
from mcp_local_llm.delegation.task import FileTask
from mcp_local_llm.doors import results_text
from mcp_local_llm.doors.mcp.descriptions import CHAT, LIST_MODELS, QUICK_TEST, SET_MODEL, STATUS
from mcp_local_llm.doors.mcp.file_tools import (
    EachFile,
    Files,
    MaxSeconds,
    Split,
    Template,
    file_result,
    unread_files,
)
from mcp_local_llm.doors.mcp.progress import reporting
from mcp_local_llm.doors.mcp.strict_tool import StrictTool, chat_result, report_result, without_titles
from mcp_local_llm.llm.llm import LLM, collect_result
from mcp_local_llm.values.chat import (
    ChatRequest,
    MaxThinkingTokens,
    MaxTokens,
    Message,
    SamplingParams,
    Seed,
    StopStrings,
    Temperature,
    ToolSpec,
    TopP,
)
from mcp_local_llm.values.results import ModelTable, QuickTest, QuickTestName, Status, Switch
from mcp_local_llm.wire.openai.earlier_turns import newest_turn, with_readable_past

MAX_RESULT_CHARACTERS = 300_000
"""Claude Code moves a longer result into a file; measured inline at this size."""


NOTES_S = 1.0
"""Seconds that the status waits for the disks of the session's folders."""

HOW_TO_CHOOSE = "set_model takes a number or a name"
"""The hint in a list of models where nothing is chosen."""

Ask = Callable[[str, Context[Any, Any]], Awaitable[Elicit["ModelChoice"] | None]]


class ModelChoice(BaseModel):
    """The user's answer to `model_question`."""

    model: str


def _readable_history(history: object) -> object:
    """Keep as text what cannot be read in earlier turns."""
    if not isinstance(history, list):
        return history
    turns = cast(list[object], history)
    return with_readable_past(turns, newest_turn(turns, more=True), dict)[0]


ModelName = Annotated[
    str, Field(description="Role, id, fragment or number; switches the resident model, not the saved choice.")
]
Tools = Annotated[
    list[ToolSpec] | None, Field(description="Functions that the model may ask for (OpenAI's form works).")
]
Thinking = Annotated[bool | None, Field(description="Let the model reason first, or not; default: the model's own.")]
AnswerSchema = Annotated[
    dict[str, Any] | None,
    Field(description="JSON Schema: the answer is JSON that validates. Still say what to fill in."),
]
History = Annotated[list[Message], BeforeValidator(_readable_history)]
"""Earlier turns; what cannot be read in them is kept as text."""


def chat_tool(llm: LLM, delegation: Delegation) -> StrictTool:
    """Make the tool `chat`."""

    async def chat(
        message: Annotated[
            str,
            Field(
                description="The whole task: the model sees nothing else. Empty where history ends with tool results."
            ),
        ],
        ctx: Context[Any, Any],
        # Empty, not None: the SDK would read JSON in a text that may also be None, and a system prompt may be JSON.
        system: Annotated[str, Field(description="System prompt.")] = "",
        history: Annotated[
            History | None, Field(description="Earlier turns, oldest first; tool results as role `tool`.")
        ] = None,
        model: ModelName = "",
        tools: Tools = None,
        response_schema: AnswerSchema = None,
        thinking: Thinking = None,
        max_thinking_tokens: Annotated[
            MaxThinkingTokens | None, Field(description="Reasoning ends after so many tokens, then comes the answer.")
        ] = None,
        max_tokens: Annotated[
            MaxTokens | None, Field(description="Longest answer in tokens, reasoning included; default 8192.")
        ] = None,
        temperature: Annotated[Temperature | None, Field(description="0 is greedy; default: the model's own.")] = None,
        top_p: Annotated[TopP | None, Field(description="Nucleus sampling; default: the model's own.")] = None,
        seed: Annotated[Seed | None, Field(description="Makes sampling repeatable.")] = None,
        stop: Annotated[StopStrings | None, Field(description="The answer ends before any of these.")] = None,
        files: Files = None,
        each_file: EachFile = False,
        split: Split = False,
        template: Template = None,
        max_seconds: MaxSeconds = None,
    ) -> CallToolResult:
        request = ChatRequest(
            messages=tuple(history or ()),
            tools=tuple(tools or ()),
            sampling=SamplingParams(max_tokens, temperature, top_p, seed, tuple(stop or ())),
            thinking=thinking,
            max_thinking_tokens=max_thinking_tokens,
            response_schema=response_schema,
        )
        task = FileTask(files or None, message, system, request, model or None, each_file, split, template, max_seconds)
        async with reporting(ctx) as report:
            if task.on_files:
                return file_result(await delegation.chat(task, report))
            request = replace(request, messages=task.conversation())
            result = await collect_result(llm.chat(request, report, model=task.model))
        unread = unread_files(await delegation.named_in(message))
        return chat_result(result, " ".join(filter(None, (task.ignored, unread))))

    return StrictTool.of(
        chat,
        title="Chat with the local model",
        description=CHAT,
        annotations=ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=False),
        meta={"anthropic/alwaysLoad": True, "anthropic/maxResultSizeChars": MAX_RESULT_CHARACTERS},
    )


def report_tools(llm: LLM, delegation: Delegation) -> list[StrictTool]:
    """Make the four tools that answer with a structured value."""

    async def set_model(
        name: Annotated[
            str, Field(min_length=1, max_length=300, description="Role, id, fragment or number of the list.")
        ],
        ctx: Context[Any, Any],
        choice: Annotated[ElicitationResult[ModelChoice], Resolve(model_question(llm))],
        download: Annotated[
            bool, Field(description="Fetch it from the Hugging Face Hub if it is not here; needs the full id.")
        ] = False,
    ) -> Annotated[CallToolResult, Switch]:
        match choice:
            case AcceptedElicitation(data=ModelChoice(model=chosen)):
                wanted = chosen
            case _:
                wanted = name  # There was no question or no answer: then the error lists the candidates.
        async with reporting(ctx) as report:
            switch = await llm.set_model(wanted, report, download=download)
        return report_result(switch, results_text.switch_text(switch))

    async def quick_test(
        ctx: Context[Any, Any],
        test: Annotated[QuickTestName, Field(description="Which question to ask.")] = "hello",
    ) -> Annotated[CallToolResult, QuickTest]:
        async with reporting(ctx) as report:
            outcome = await llm.quick_test(test, report)
        return report_result(outcome, *results_text.quick_test_texts(outcome))

    async def list_models() -> Annotated[CallToolResult, ModelTable]:
        table = await llm.list_models()
        return report_result(table, results_text.table_text(table, HOW_TO_CHOOSE))

    async def status() -> Annotated[CallToolResult, Status]:
        now = await llm.status()
        notes: tuple[str, ...] = ("The folders of this session are not told: a disk does not answer.",)
        with anyio.move_on_after(NOTES_S):
            notes = await anyio.to_thread.run_sync(delegation.notes, abandon_on_cancel=True)
        now = now.model_copy(update={"notes": [*now.notes, *notes]})
        return report_result(now, results_text.status_text(now))

    read_only = ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=False)
    # Open world because of `download`; everything else stays on this machine.
    changes = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
    tools = [
        StrictTool.of(set_model, title="Choose the model", description=SET_MODEL, annotations=changes),
        StrictTool.of(quick_test, title="Test the model", description=QUICK_TEST, annotations=read_only),
        StrictTool.of(list_models, title="List the models", description=LIST_MODELS, annotations=read_only),
        StrictTool.of(status, title="Status", description=STATUS, annotations=read_only),
    ]
    for tool in tools:
        schema = tool.fn_metadata.output_schema
        assert schema is not None, f"{tool.name} lost its output schema"
        tool.fn_metadata.output_schema = without_titles(schema)
    return tools


def model_question(llm: LLM) -> Ask:
    """Make the resolver that asks which model a name means; it returns None where the name is clear."""

    async def ask_which_model(name: str, ctx: Context[Any, Any]) -> Elicit[ModelChoice] | None:
        if not _shows_questions(ctx):
            return None
        candidates = await llm.candidates(name)
        if not candidates:
            return None
        field = Field(title="Model", json_schema_extra={"enum": [*candidates]})
        schema = create_model("ModelChoice", __base__=ModelChoice, model=(str, field))
        return Elicit(f"{name!r} means {len(candidates)} models. Which one?", schema)

    return ask_which_model


def _shows_questions(ctx: Context[Any, Any]) -> bool:
    """Whether the client shows form questions; a bare `elicitation: {}` means that it does."""
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)
