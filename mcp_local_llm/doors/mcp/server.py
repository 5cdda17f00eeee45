"""The server object: five tools, one prompt, and the protocol's corners that the SDK leaves open."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import AcceptedElicitation, Context, ElicitationResult, MCPServer, Resolve
from mcp_types import INVALID_PARAMS, CallToolResult, ToolAnnotations
from pydantic import Field

from mcp_local_llm import __version__
from mcp_local_llm.doors.mcp import descriptions as texts
from mcp_local_llm.doors.mcp import render
from mcp_local_llm.doors.mcp.choice import ModelChoice, model_question, name_completion
from mcp_local_llm.doors.mcp.progress import reporting
from mcp_local_llm.doors.mcp.prompts import switch_model_prompt
from mcp_local_llm.doors.mcp.strict_tool import StrictTool, without_titles
from mcp_local_llm.llm.llm import LLM, answered
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
from mcp_local_llm.values.errors import InvalidRequestError
from mcp_local_llm.values.results import ModelTable, QuickTest, QuickTestName, Status, Switch

MAX_RESULT_CHARACTERS = 300_000
"""Claude Code moves a longer result into a file; measured inline at this size."""


def build_server(llm: LLM, switch_model: str, greeted: Callable[[], None] | None = None) -> MCPServer[Any]:
    """Make the server for `llm`.

    Args:
        llm: answers.
        switch_model: the text of the prompt of that name.
        greeted: called when a request was answered, so that the client has its handshake.
    """
    tools = [chat_tool(llm), *report_tools(llm)]
    prompt = switch_model_prompt(switch_model)
    known = {"tools/call": [tool.name for tool in tools], "prompts/get": [prompt.name]}

    async def around_request(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        # The SDK answers with a tool error, and for a prompt with the code 0; the protocol wants invalid params.
        name, names = (ctx.params or {}).get("name"), known.get(ctx.method)
        if names is not None and name not in names:
            kind = ctx.method.partition("/")[0].removesuffix("s")
            raise MCPError(INVALID_PARAMS, f"There is no {kind} {name!r}. local-llm has: {', '.join(names)}.")
        try:
            return await call_next(ctx)
        finally:
            if greeted is not None:
                greeted()

    server: MCPServer[Any] = MCPServer(
        "local-llm",
        title="Local LLM",
        version=__version__,
        instructions=texts.INSTRUCTIONS,
        tools=[*tools],
        middleware=[around_request],
        log_level="WARNING",
    )
    server.add_prompt(prompt)
    server.completion()(name_completion(llm, prompt.name))
    return server


def chat_tool(llm: LLM) -> StrictTool:
    """Make the tool that all others serve."""

    async def chat(
        message: Annotated[
            str,
            Field(
                description="The whole task: the model sees nothing else. Empty where history ends with tool results."
            ),
        ],
        ctx: Context[Any, Any],
        system: Annotated[str | None, Field(description="System prompt.")] = None,
        history: Annotated[
            list[Message] | None, Field(description="Earlier turns, oldest first; tool results as role `tool`.")
        ] = None,
        model: Annotated[
            str | None,
            Field(description="Role, id, fragment or number; switches the resident model, not the saved choice."),
        ] = None,
        tools: Annotated[
            list[ToolSpec] | None, Field(description="Functions that the model may ask for (OpenAI's form works).")
        ] = None,
        response_schema: Annotated[
            dict[str, Any] | None,
            Field(description="JSON Schema: the answer is JSON that validates. Still say what to fill in."),
        ] = None,
        thinking: Annotated[
            bool | None, Field(description="Let the model reason first, or not; default: the model's own.")
        ] = None,
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
    ) -> CallToolResult:
        request = ChatRequest(
            messages=conversation(message, system, history or []),
            tools=tuple(tools or ()),
            sampling=SamplingParams(max_tokens, temperature, top_p, seed, tuple(stop or ())),
            thinking=thinking,
            max_thinking_tokens=max_thinking_tokens,
            response_schema=response_schema,
        )
        async with reporting(ctx) as report:
            return render.chat_result(await answered(llm.chat(request, report, model=model)))

    return StrictTool.of(
        chat,
        title="Chat with the local model",
        description=texts.CHAT,
        annotations=ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=False),
        meta={"anthropic/alwaysLoad": True, "anthropic/maxResultSizeChars": MAX_RESULT_CHARACTERS},
    )


def conversation(message: str, system: str | None, history: Sequence[Message]) -> tuple[Message, ...]:
    """Put the turns in order; a model that is given tool results answers them, with no message behind them.

    Raises:
        InvalidRequestError: there is nothing to answer.
    """
    turns = [Message(role="system", content=system)] if system else []
    turns += history
    if message:
        turns.append(Message(role="user", content=message))
    elif not history or history[-1].role != "tool":
        raise InvalidRequestError(
            "message is empty. Put the task into it; it may be empty only where history ends with a tool result."
        )
    return tuple(turns)


def report_tools(llm: LLM) -> list[StrictTool]:
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
                wanted = name  # Nothing was asked, or not answered: then the error holds the candidates.
        async with reporting(ctx) as report:
            switch = await llm.set_model(wanted, report, download=download)
        return render.report_result(switch, render.switch_text(switch))

    async def quick_test(
        ctx: Context[Any, Any],
        test: Annotated[QuickTestName, Field(description="Which question to ask.")] = "hello",
    ) -> Annotated[CallToolResult, QuickTest]:
        async with reporting(ctx) as report:
            outcome = await llm.quick_test(test, report)
        return render.report_result(outcome, render.quick_test_text(outcome))

    async def list_models() -> Annotated[CallToolResult, ModelTable]:
        table = await llm.list_models()
        return render.report_result(table, render.table_text(table))

    async def status() -> Annotated[CallToolResult, Status]:
        now = await llm.status()
        return render.report_result(now, render.status_text(now))

    read_only = ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=False)
    # Open world because of `download`; everything else stays on this machine.
    changes = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
    tools = [
        StrictTool.of(set_model, title="Choose the model", description=texts.SET_MODEL, annotations=changes),
        StrictTool.of(quick_test, title="Test the model", description=texts.QUICK_TEST, annotations=read_only),
        StrictTool.of(list_models, title="List the models", description=texts.LIST_MODELS, annotations=read_only),
        StrictTool.of(status, title="Status", description=texts.STATUS, annotations=read_only),
    ]
    for tool in tools:
        schema = tool.fn_metadata.output_schema
        assert schema is not None, f"{tool.name} lost its output schema"
        tool.fn_metadata.output_schema = without_titles(schema)
    return tools
