"""Makes the server object: six tools, the prompts, and the error codes that the SDK does not send."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp_types import INVALID_PARAMS, INVALID_REQUEST
from pydantic import ValidationError

from mcp_local_llm import __version__
from mcp_local_llm.delegation.delegation import Delegation
from mcp_local_llm.doors.mcp import descriptions
from mcp_local_llm.doors.mcp.file_tools import draft_tool
from mcp_local_llm.doors.mcp.prompts import command_prompts, first_argument_completion
from mcp_local_llm.doors.mcp.strict_tool import with_request_id
from mcp_local_llm.doors.mcp.tools import chat_tool, report_tools
from mcp_local_llm.doors.mcp.unreadable_lines import StdioServer
from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.setup.log import logged_call
from mcp_local_llm.values.call import Call
from mcp_local_llm.values.errors import shortened
from mcp_local_llm.values.placeholders import filled_in


def build_server(llm: LLM, delegation: Delegation, greeted: Callable[[], None] | None = None) -> MCPServer[Any]:
    """Make the server for `llm`.

    Args:
        llm: executes the verbs.
        delegation: works on the files of this session.
        greeted: called after each request; the first one completes the handshake.
    """
    tools = [chat_tool(llm, delegation), *report_tools(llm, delegation), draft_tool(delegation)]
    prompts = command_prompts()
    known = {"tools/call": [tool.name for tool in tools], "prompts/get": [prompt.name for prompt in prompts]}

    async def around_request(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        # The SDK answers with a tool error, and for a prompt with the code 0; the protocol wants invalid params.
        name, names = (ctx.params or {}).get("name"), known.get(ctx.method)
        if names is not None and name not in names:
            kind = ctx.method.partition("/")[0].removesuffix("s")
            raise MCPError(
                INVALID_PARAMS, f"There is no {kind} {shortened(str(name))!r}. local-llm has: {', '.join(names)}."
            )
        if names is not None:
            ctx = replace(ctx, params=_with_arguments(ctx.params or {}, ctx.method))
        try:
            if ctx.method != "tools/call":
                return await call_next(ctx)
            # Clients ask for the status again and again.
            with logged_call(Call(f"mcp {name}"), logging.DEBUG if name == "status" else logging.INFO) as call:
                return with_request_id(await call_next(ctx), call.id)
        except ValidationError as error:
            # The SDK's own answer names nothing.
            problem = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(shortened(str(part)) for part in problem["loc"])
            raise MCPError(INVALID_PARAMS, f"{ctx.method}: {place}: {problem['msg']}.") from error
        except MCPError as error:
            # The SDK's answer to what comes before the handshake is the only one with empty data.
            if error.error.code == INVALID_PARAMS and error.error.data == "":
                raise MCPError(INVALID_REQUEST, f"{ctx.method} came before initialize. Send that first.") from error
            raise
        finally:
            if greeted is not None:
                greeted()

    server = StdioServer(
        "local-llm",
        title="Local LLM",
        version=__version__,
        instructions=descriptions.INSTRUCTIONS,
        tools=[*tools],
        middleware=[around_request],
        log_level="WARNING",
    )
    for prompt in prompts:
        server.add_prompt(prompt)
    server.completion()(first_argument_completion(llm))
    return server


def _with_arguments(params: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Drop what clients send for no arguments, as PHP writes an empty object: []; a tool reads its own ones."""
    given = {name: value for name, value in params.items() if name != "arguments" or value not in (None, "", [], {})}
    arguments = given.get("arguments")
    if method == "prompts/get" and isinstance(arguments, dict):
        given["arguments"] = filled_in(cast(dict[str, Any], arguments))
    return given
