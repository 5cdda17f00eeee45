"""Answers of the core as MCP results: text for the model that reads it, numbers beside it."""

import dataclasses
import json
from typing import Any

from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel

from mcp_local_llm.values.chat import ChatResult
from mcp_local_llm.values.model import human_bytes, human_count
from mcp_local_llm.values.results import ModelRow, ModelTable, ProfileRow, QuickTest, Status, Switch

RESULT_META = "local-llm/result"
"""Key of the numbers in `_meta`: clients do not show it to their model."""


def chat_result(result: ChatResult) -> CallToolResult:
    """Plain text first, parsed tool calls as a JSON list in a second block; no structured content.

    Claude Code and Codex show their model only the JSON of a structured result, so an answer would arrive as one
    escaped line.
    """
    text = "\n\n".join(part for part in (result.text, note(result)) if part)
    blocks = [TextContent(type="text", text=text)]
    if result.tool_calls:
        calls = [{"name": call.name, "arguments": call.arguments} for call in result.tool_calls]
        blocks.append(TextContent(type="text", text=json.dumps(calls, ensure_ascii=False)))
    numbers: dict[str, Any] = {
        "model": result.model,
        "finish_reason": result.finish_reason,
        "usage": dataclasses.asdict(result.usage),
        "timings": {key: round(value, 4) for key, value in dataclasses.asdict(result.timings).items()},
        "reasoning_characters": len(result.reasoning),
        "warnings": list(result.warnings),
    }
    if result.schema_met is not None:
        numbers["schema_met"] = result.schema_met
    return CallToolResult(content=[*blocks], _meta={RESULT_META: numbers})


def note(result: ChatResult) -> str:
    """Say in brackets what the reader must know about the answer; empty when there is nothing."""
    tokens = result.usage.completion_tokens
    if not result.thinking_closed and not result.text:
        how = "max_tokens ended" if result.finish_reason == "length" else "the model stopped in the middle of"
        return (
            f"[No answer: {how} the reasoning after {tokens} tokens. Call again with thinking=false, "
            f"or with a larger max_tokens.]"
        )
    if result.looped:
        return (
            f"[Cut off: the answer only repeated itself, so it was ended after {tokens} tokens. Word the task "
            f"differently, or call again with a higher temperature.]"
        )
    if result.schema_met is False:
        cut = "max_tokens was reached" if result.finish_reason == "length" else "the answer ended early"
        return f"[The JSON is incomplete: {cut} after {tokens} tokens. Call again with a larger max_tokens.]"
    if result.finish_reason == "length":
        return f"[Cut off: max_tokens was reached after {tokens} tokens. Call again with a larger max_tokens.]"
    if result.tool_calls and not result.text:
        count = len(result.tool_calls)
        return f"[The model asks for {count} tool {'call' if count == 1 else 'calls'}.]"
    return "" if result.text else "[The model's answer is empty.]"


def report_result(report: BaseModel, text: str) -> CallToolResult:
    """Put a structured value and its words side by side; each client shows one of the two."""
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=report.model_dump(mode="json")
    )


def switch_text(switch: Switch) -> str:
    """Tell what is resident now, and what it took."""
    if switch.endpoint:
        head = f"{switch.model} is the choice; calls go to {switch.endpoint}."
    elif not switch.loaded:
        head = f"{switch.model} is resident already; it stays the choice."
    else:
        before = f" (before: {switch.previous})" if switch.previous else ""
        head = f"{switch.model} is resident{before}: {human_bytes(switch.size_bytes or 0)} in {switch.seconds:.1f} s."
    left = "" if switch.available_bytes is None else f" {human_bytes(switch.available_bytes)} of memory are available."
    return "\n".join([head + left, *switch.notes])


def quick_test_text(test: QuickTest) -> str:
    """Tell the verdict, then the answer it is about."""
    rate = "" if test.tokens_per_second is None else f", {test.tokens_per_second:.0f} tok/s"
    head = f"{test.test}: {'passed' if test.passed else 'failed'}. {test.verdict}"
    numbers = f"{test.model}, {test.completion_tokens} tokens in {test.seconds:.2f} s{rate}"
    answer = "\n".join([f"Answer: {test.answer}", *(f"Tool call: {call}" for call in test.tool_calls)])
    return f"{head}\n{numbers}\nQuestion: {test.prompt}\n{answer}"


def status_text(status: Status) -> str:
    """Tell the state in a few lines."""
    model = f" {status.model}" if status.model else ""
    progress = f" ({status.progress})" if status.progress else ""
    waiting = f"{status.waiting} waiting, " if status.waiting else ""
    calls = f"{status.calls_running} running, {waiting}{status.calls_answered} answered"
    lines = [f"{status.state}{model}{progress}, {calls}"]
    if status.tokens_per_second is not None:
        lines.append(f"last answer: {status.tokens_per_second:.0f} tok/s; {status.completion_tokens} tokens so far")
    if status.holder_pid is not None:
        here = "this process" if status.holder_pid == status.pid else "process"
        lines.append(f"held by {here} {status.holder_pid}; other sessions attached to it: {status.clients}")
    lines.append(f"choice: {status.chosen or 'none saved'}")
    if status.memory_total_bytes is not None and status.memory_available_bytes is not None:
        total, available = human_bytes(status.memory_total_bytes), human_bytes(status.memory_available_bytes)
        lines.append(f"memory: {available} available of {total}")
    if status.engine_bytes is not None:
        kept = human_bytes(status.prefix_cache_bytes or 0)
        lines.append(f"engine: {human_bytes(status.engine_bytes)} held, {kept} of it prompts kept for reuse")
    if status.last_error:
        lines.append(f"last load failed: {status.last_error}")
    lines += status.notes
    lines.append(f"mcp-local-llm {status.version}, up {status.uptime_seconds:.0f} s")
    return "\n".join(lines)


def table_text(table: ModelTable) -> str:
    """Write the numbered table."""
    if not table.models:
        return "\n".join(["No models were found.", *table.warnings])
    rows = [("#", "model", "size", "quantization", "context", "fits", "speed", "good for"), *map(_cells, table.models)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    chosen = f"chosen: {table.chosen}" if table.chosen else "none is chosen yet; set_model takes a number or a name"
    return "\n".join([*lines, chosen, *map(_profile_line, table.profiles), *table.warnings])


def _profile_line(row: ProfileRow) -> str:
    """Say what a profile is short for."""
    return f"profile {row.name}: {row.model}{f' ({row.sets})' if row.sets else ''}{', chosen' if row.chosen else ''}"


def _cells(row: ModelRow) -> tuple[str, ...]:
    marks = [*(["resident"] if row.resident else []), *(["chosen"] if row.chosen else []), *row.roles]
    size = "?" if row.size_bytes is None else human_bytes(row.size_bytes)
    size += f", {human_count(row.parameters)}" if row.parameters else ""
    context = "?" if row.context_length is None else f"{row.context_length / 1024:.3g}k"
    name = f"{row.name} ({', '.join(marks)})" if marks else row.name
    quantization = row.quantization or ("?" if row.endpoint else "none")
    return str(row.number), name, size, quantization, context, row.fit, row.speed, row.good_for
