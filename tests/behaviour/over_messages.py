"""Asking over the Messages API: a request in Anthropic's form, and the answer of its events as ours.

What Anthropic's form has no place for is in the member `local_llm`, or is not asked for by the table.
"""

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx

from mcp_local_llm.values.chat import ChatChunk, ChatRequest, ChatResult, Message, Timings, ToolCall, Usage
from mcp_local_llm.values.errors import ContextLengthError, LocalLLMError
from mcp_local_llm.values.progress import Progress, ReportProgress
from mcp_local_llm.wire.anthropic.write_response import NO_TEXT
from tests.clients import WAIT_S
from tests.doors.http.messages.streams import message

Json = dict[str, Any]

_THINKING = {None: "adaptive", True: "enabled", False: "disabled"}
_REASONS: dict[str, Any] = {"tool_use": "tool_calls", "max_tokens": "length"}


def body_of(request: ChatRequest, model: str) -> Json:
    """Write a request as a client of Anthropic's would."""
    sampling = request.sampling
    fields: Json = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "stop_sequences": list(sampling.stop) or None,
        "tools": [_tool(tool.model_dump()) for tool in request.tools] or None,
    }
    if request.response_schema is not None:
        fields["output_config"] = {"format": {"type": "json_schema", "schema": request.response_schema}}
    if request.must_call:
        fields["tool_choice"] = {"type": "any", "disable_parallel_tool_use": not request.parallel_tool_calls}
    thinking: Json = {"type": _THINKING[request.thinking]}
    if request.max_thinking_tokens is not None:
        thinking["budget_tokens"] = request.max_thinking_tokens
    return {
        "model": model,
        "messages": [_turn(turn) for turn in request.messages],
        "thinking": thinking,
        "stream": True,
        **{name: value for name, value in fields.items() if value is not None},
    }


async def ask_over_messages(
    url: str, model: str, request: ChatRequest, report: ReportProgress
) -> AsyncGenerator[ChatChunk]:
    """Ask, and yield the answer piece by piece; pings are told as progress."""
    told = list[str]()
    async with (
        httpx.AsyncClient(base_url=url, timeout=WAIT_S) as http,
        http.stream("POST", "/messages", json=body_of(request, model)) as reply,
    ):
        if reply.status_code != 200:
            raise _error(json.loads(await reply.aread()))
        async for line in reply.aiter_lines():
            told.append(line)
            if line == 'data: {"type": "ping"}':
                report(Progress("prefill"))
            elif line.startswith("data: ") and request.stream:
                delta = json.loads(line[6:]).get("delta", {})
                if text := delta.get("text"):
                    yield ChatChunk(text="" if text == NO_TEXT else text)
                if thought := delta.get("thinking"):
                    yield ChatChunk(reasoning=thought)
    yield ChatChunk(result=_result(message("".join(f"{line}\n" for line in told))))


def _turn(turn: Message) -> Json:
    return {"role": turn.role, "content": turn.content}


def _tool(tool: Json) -> Json:
    return {"name": tool["name"], "description": tool["description"], "input_schema": tool["parameters"]}


def _error(body: Json) -> LocalLLMError:
    words = body["error"]["message"]
    return (ContextLengthError if "prompt is too long" in words else LocalLLMError)(words)


def _result(told: Json) -> ChatResult:
    text = "".join(block["text"] for block in told["content"] if block["type"] == "text")
    calls = [block for block in told["content"] if block["type"] == "tool_use"]
    counts, ours = told["usage"], told["local_llm"]
    cached = counts["cache_read_input_tokens"]
    return ChatResult(
        text="" if text == NO_TEXT else text,
        reasoning="".join(block["thinking"] for block in told["content"] if block["type"] == "thinking"),
        tool_calls=tuple(ToolCall(name=call["name"], arguments=call["input"], id=call["id"]) for call in calls),
        finish_reason=_REASONS.get(told["stop_reason"], "stop"),
        model=told["model"],
        usage=Usage(
            prompt_tokens=counts["input_tokens"] + cached,
            cached_tokens=cached,
            completion_tokens=counts["output_tokens"],
            reasoning_tokens=counts["output_tokens_details"]["thinking_tokens"],
        ),
        timings=Timings(),
        thinking_closed=ours["thinking_closed"],
        warnings=tuple(ours["warnings"]),
        looped=ours["looped"],
        schema_met=ours["schema_met"],
        stop_string=told["stop_sequence"] or "",
    )
