"""Asking over the Responses API: a request in its form, and the answer of its events as ours.

How an answer ended stands in the member `local_llm`, because its own `status` is `completed` always.
"""

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx

from mcp_local_llm.values.chat import ChatChunk, ChatRequest, ChatResult, Timings, ToolCall, Usage
from mcp_local_llm.values.errors import ContextLengthError, LocalLLMError
from mcp_local_llm.values.progress import Progress, ReportProgress
from tests.clients import WAIT_S
from tests.doors.http.responses.streams import events

Json = dict[str, Any]

_EFFORTS = {None: None, True: "medium", False: "none"}


def body_of(request: ChatRequest, model: str) -> Json:
    """Write a request as a client of this API would; what it has no field for is sent under our own name."""
    sampling, schema = request.sampling, request.response_schema
    form = {"format": {"type": "json_schema", "name": "answer", "schema": schema}} if schema is not None else None
    return {
        "model": model,
        "input": [{"role": turn.role, "content": turn.content} for turn in request.messages],
        "stream": True,
        "max_output_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "stop": list(sampling.stop) or None,
        "tools": [{"type": "function", **tool.model_dump()} for tool in request.tools],
        "tool_choice": "required" if request.must_call else None,
        "parallel_tool_calls": request.parallel_tool_calls,
        "reasoning": {"effort": _EFFORTS[request.thinking]},
        "max_thinking_tokens": request.max_thinking_tokens,
        "text": form,
    }


async def ask_over_responses(
    url: str, model: str, request: ChatRequest, report: ReportProgress
) -> AsyncGenerator[ChatChunk]:
    """Ask, and yield the answer piece by piece; heartbeats are told as progress."""
    told = list[str]()
    async with (
        httpx.AsyncClient(base_url=url, timeout=WAIT_S) as http,
        http.stream("POST", "/responses", json=body_of(request, model)) as reply,
    ):
        if reply.status_code != 200:
            raise _error(json.loads(await reply.aread())["error"])
        async for line in reply.aiter_lines():
            told.append(f"{line}\n")
            event = json.loads(line[6:]) if line.startswith("data: ") else {"type": ""}
            if event["type"] == "response.in_progress":
                report(Progress("prefill"))
            elif event["type"] in ("response.output_text.delta", "response.reasoning_text.delta"):
                report(Progress("answer"))
                if request.stream:
                    yield _chunk(event)
    last = events("".join(told))[-1]["response"]
    if last["error"] is not None:
        raise _error(last["error"])
    yield ChatChunk(result=_result(last))


def _chunk(event: Json) -> ChatChunk:
    reasons = event["type"].startswith("response.reasoning")
    return ChatChunk(reasoning=event["delta"]) if reasons else ChatChunk(text=event["delta"])


def _error(body: Json) -> LocalLLMError:
    return (ContextLengthError if body["code"] == "context_length_exceeded" else LocalLLMError)(body["message"])


def _texts(told: Json, kind: str) -> str:
    return "".join(part["text"] for item in told["output"] if item["type"] == kind for part in item["content"])


def _result(told: Json) -> ChatResult:
    calls = [item for item in told["output"] if item["type"] == "function_call"]
    counts, ours = told["usage"], told["local_llm"]
    return ChatResult(
        text=_texts(told, "message"),
        reasoning=_texts(told, "reasoning"),
        tool_calls=tuple(ToolCall(name=call["name"], arguments=json.loads(call["arguments"])) for call in calls),
        finish_reason=ours["finish_reason"],
        model=told["model"],
        usage=Usage(
            prompt_tokens=counts["input_tokens"],
            cached_tokens=counts["input_tokens_details"]["cached_tokens"],
            completion_tokens=counts["output_tokens"],
            reasoning_tokens=counts["output_tokens_details"]["reasoning_tokens"],
        ),
        timings=Timings(),
        thinking_closed=ours["thinking_closed"],
        warnings=tuple(ours["warnings"]),
        looped=ours["looped"],
        schema_met=ours["schema_met"],
        stop_string=ours["stop_string"],
    )
