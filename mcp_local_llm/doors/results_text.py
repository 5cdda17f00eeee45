"""Results of the verbs as text, once for MCP and the command line; each door passes its own wording. Pure."""

import dataclasses
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mcp_local_llm.values.chat import ChatResult, ToolCall
from mcp_local_llm.values.model import human_bytes, human_count
from mcp_local_llm.values.results import Download, Failure, ModelRow, ModelTable, ProfileRow, QuickTest, Status, Switch
from mcp_local_llm.wire.json_values import encodable

TABLE_HEADER = ("#", "model", "size", "quantization", "context", "fits", "speed", "good for")
"""The columns of the list of models."""
INDENT = "  "
"""Before the lines of a model's text, where it stands below this program's words."""

_TOOL_WORDS = re.compile(r'\b(?:set_model\("([^"]*)"\)|(list_models|set_model|quick_test)\b|(download=true))')


@dataclass(frozen=True)
class NoteWording:
    """How a door words the remedies in a note: names of arguments or of options."""

    longer: str
    no_thinking: str
    higher_temperature: str


def note(result: ChatResult, words: NoteWording) -> str:
    """Return a note about an answer that is empty, cut off or incomplete; else an empty text."""
    tokens = result.usage.completion_tokens
    if not result.thinking_closed and not result.text:
        how = "max_tokens ended" if result.finish_reason == "length" else "the model stopped in the middle of"
        return f"No answer: {how} the reasoning after {tokens} tokens. {words.no_thinking}, or {words.longer}."
    if result.looped:
        advice = result.schema_advice or f"Word the task differently, or {words.higher_temperature}."
        return f"Cut off: the answer only repeated itself, so it was ended after {tokens} tokens. {advice}"
    if result.schema_met is False:
        if result.finish_reason != "length":
            fault = result.schema_advice or "A stop string or the model ended it early."
            return f"The answer does not validate against response_schema. {fault}"
        advice = result.schema_advice or f"Call again {words.longer}."
        return f"The JSON is incomplete: max_tokens was reached after {tokens} tokens. {advice}"
    if result.finish_reason == "length":
        return f"Cut off: max_tokens was reached after {tokens} tokens. Call again {words.longer}."
    if result.tool_calls and not result.text:
        count = len(result.tool_calls)
        return f"The model asks for {count} tool {'call' if count == 1 else 'calls'}."
    return "" if result.text else "The model's answer is empty."


def numbers_of(result: ChatResult) -> dict[str, Any]:
    """Return everything about an answer that its text does not say."""
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
    return numbers


def calls_text(calls: Sequence[ToolCall]) -> str:
    """Write the calls that a model asks for as a list of JSON."""
    listed = [{"name": call.name, "arguments": call.arguments} for call in calls]
    return encodable(json.dumps(listed, ensure_ascii=False))


def switch_text(switch: Switch) -> str:
    """Write the chosen model, and what its load took."""
    if switch.endpoint:
        head = f"{switch.model} is the choice; calls go to {switch.endpoint}."
    elif not switch.loaded:
        head = f"{switch.model} is resident already; it stays the choice."
    else:
        before = f" (before: {switch.previous})" if switch.previous else ""
        size = human_bytes(switch.size_bytes or 0)
        head = f"{switch.model} is the choice; {size} loaded in {switch.seconds:.1f} s{before}."
    left = "" if switch.available_bytes is None else f" {human_bytes(switch.available_bytes)} of memory are available."
    return "\n".join([head + left, *switch.notes])


def download_text(download: Download) -> str:
    """Write the folder of a downloaded model."""
    head = f"{download.model} ({human_bytes(download.size_bytes)}) is in {download.path}"
    return "\n".join([head, *download.notes])


def quick_test_text(test: QuickTest) -> str:
    """Write verdict, numbers, question and answer; the later lines of the model's answer are indented."""
    own, answer = quick_test_texts(test)
    return f"{own}\n{answer.replace(chr(10), chr(10) + INDENT)}"


def quick_test_texts(test: QuickTest) -> tuple[str, str]:
    """Write what this program says of a test, and what the model says, which must not pass for it."""
    rate = "" if test.tokens_per_second is None else f", {test.tokens_per_second:.0f} tok/s"
    failed = "the model answers, but does not follow the instruction" if test.answered else "failed"
    head = f"{test.test}: {'passed' if test.passed else failed}. {test.verdict}"
    numbers = f"{test.model}, {test.completion_tokens} tokens in {test.seconds:.2f} s{rate}"
    answer = "\n".join([f"Answer: {test.answer}", *(f"Tool call: {call}" for call in test.tool_calls)])
    return f"{head}\n{numbers}\nQuestion: {test.prompt}", answer


def status_text(status: Status) -> str:
    """Write the state in a few lines."""
    model = f" {status.model}" if status.model else ""
    progress = f" ({status.progress})" if status.progress else ""
    waiting = f"{status.waiting} waiting, " if status.waiting else ""
    calls = f"{status.calls_running} running, {waiting}{status.calls_answered} answered"
    lines = [f"{status.state}{model}{progress}, {calls}"]
    if status.holder_pid is not None:
        here = "this process" if status.holder_pid == status.pid else "process"
        lines.append(f"held by {here} {status.holder_pid}; other sessions attached to it: {status.clients}")
    if status.tokens_per_second is not None:
        lines.append(f"last answer: {status.tokens_per_second:.0f} tok/s; {status.completion_tokens} tokens so far")
    lines.append(f"choice: {status.chosen or 'none saved'}")
    if status.memory_total_bytes is not None and status.memory_available_bytes is not None:
        total, available = human_bytes(status.memory_total_bytes), human_bytes(status.memory_available_bytes)
        lines.append(f"memory: {available} available of {total}")
    if status.engine_bytes is not None:
        kept = human_bytes(status.prefix_cache_bytes or 0)
        lines.append(f"engine: {human_bytes(status.engine_bytes)} held, {kept} of it prompts kept for reuse")
    if status.last_error:
        lines.append(f"last load failed: {status.last_error}")
    lines += [f"failed: {failure_text(failure)}" for failure in status.failures]
    lines += status.notes
    lines.append(f"mcp-local-llm {status.version}, up {status.uptime_seconds:.0f} s")
    return "\n".join(lines)


def failure_text(failure: Failure) -> str:
    """Write a failed call: when, where it came in, its id in the log, and why."""
    return f"{failure.time} {failure.door}, request {failure.request}: {failure.error}: {failure.sentence}"


def table_text(table: ModelTable, choose: str) -> str:
    """Write the numbered table; `choose` says how to choose where nothing is chosen."""
    if not table.models:
        return "\n".join(["No models were found.", *table.warnings])
    rows = [TABLE_HEADER, *map(cells, table.models)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(TABLE_HEADER))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, table_notes(table, choose)])


def table_notes(table: ModelTable, choose: str) -> str:
    """Write what stands below the table: the choice, how speeds were measured, the profiles and the warnings."""
    chosen = f"chosen: {table.chosen}" if table.chosen else f"none is chosen yet; {choose}"
    measured = any(row.tokens_per_second and not row.speed.startswith("~") for row in table.models)
    speeds = ["speed: the best of the last answers here that ran alone; with ~ it is estimated"] if measured else []
    return "\n".join([chosen, *speeds, *map(_profile_line, table.profiles), *table.warnings])


def cells(row: ModelRow) -> tuple[str, ...]:
    """Write one model, a text for each column of `TABLE_HEADER`."""
    marks = [*(["resident"] if row.resident else []), *(["chosen"] if row.chosen else []), *row.roles]
    size = "?" if row.size_bytes is None else human_bytes(row.size_bytes)
    size += f", {human_count(row.parameters)}" if row.parameters else ""
    context = "?" if row.context_length is None else f"{row.context_length / 1024:.3g}k"
    name = f"{row.name} ({', '.join(marks)})" if marks else row.name
    quantization = row.quantization or ("?" if row.endpoint else "none")
    return str(row.number), name, size, quantization, context, row.fit, row.speed, row.good_for


def _profile_line(row: ProfileRow) -> str:
    """Write a profile with its model and its settings."""
    return f"profile {row.name}: {row.model}{f' ({row.sets})' if row.sets else ''}{', chosen' if row.chosen else ''}"


def without_tools(text: str, list_models: str = "`mcp-local-llm models`") -> str:
    """Write commands where a message names MCP tools; `list_models` says how this door lists the models."""
    names = {"list_models": list_models, "set_model": "`mcp-local-llm use`", "quick_test": "`mcp-local-llm test`"}

    def words(found: re.Match[str]) -> str:
        if found[3]:
            return "`mcp-local-llm pull`"
        return names[found[2]] if found[2] else f"`mcp-local-llm use {found[1]}`"

    return _TOOL_WORDS.sub(words, text)
