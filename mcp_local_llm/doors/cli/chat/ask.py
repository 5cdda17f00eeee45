"""Asks one question and writes the answer while it comes; the command `chat` and the interactive chat share it."""

import sys
from contextlib import suppress
from dataclasses import replace

import anyio.to_thread

from mcp_local_llm.delegation.task import FileAnswer, FileTask
from mcp_local_llm.doors import results_text
from mcp_local_llm.doors.cli.chat.answer_writer import AnswerWriter
from mcp_local_llm.doors.cli.progress_line import progress_line
from mcp_local_llm.doors.cli.run import Parts, note
from mcp_local_llm.doors.cli.terminal import is_terminal
from mcp_local_llm.llm.llm import OnText, collect_result
from mcp_local_llm.values.chat import ChatResult
from mcp_local_llm.values.progress import ReportProgress
from mcp_local_llm.values.results import rate_of

NOTE_WORDING = results_text.NoteWording(
    longer="with a larger --max-tokens",
    no_thinking="Call again with --no-thinking",
    higher_temperature="use a higher --temperature",
)


async def ask(parts: Parts, task: FileTask, writer: AnswerWriter | None) -> FileAnswer:
    """Answer a question; `writer` receives the text while it comes, and what came of it before an error or Ctrl-C.

    Raises:
        LocalLLMError: as `LLM.chat` and `Delegation.chat`.
        BrokenPipeError: nobody reads stdout any more.
    """
    came: list[str] = []
    with progress_line() as line:

        async def on_text(text: str) -> None:
            if writer is not None:
                if is_terminal(sys.stdout):
                    line.hide()
                came.append(text)
                # On a thread: a reader that does not read must not stop this process's other sessions.
                await anyio.to_thread.run_sync(writer.write, text, abandon_on_cancel=True)

        try:
            answer = await _answer(parts, task, line.report, on_text if writer else None)
        except BaseException:
            if writer is not None:
                line.hide()
                with suppress(OSError):
                    writer.end()
            raise
    if writer is not None:
        written = "".join(came)
        # Streamed text is the beginning of the answer; one that no check allowed to stream comes whole.
        writer.write(answer.body.removeprefix(written))
        writer.end()
        if answer.result.tool_calls:
            print(results_text.calls_text(answer.result.tool_calls))
        sys.stdout.flush()
    return answer


async def _answer(parts: Parts, task: FileTask, report: ReportProgress, on_text: OnText | None) -> FileAnswer:
    if task.on_files:
        return await parts.delegation.chat(task, report, on_text)
    request = replace(task.request, messages=task.conversation(), stream=on_text is not None)
    result = await collect_result(parts.llm.chat(request, report, model=task.model), on_text)
    return FileAnswer("", result.text, result, single=True)


def is_complete(result: ChatResult) -> bool:
    """Return whether an answer is neither cut off nor empty, and validates where it should."""
    cut = result.finish_reason == "length" or result.schema_met is False
    return not cut and bool(result.text.strip() or result.tool_calls)


def notes_of(answer: FileAnswer) -> tuple[str, ...]:
    """Return what this program says of an answer."""
    said = results_text.note(answer.result, NOTE_WORDING) if answer.single else ""
    return tuple(filter(None, (*answer.result.warnings, answer.head, said)))


def print_notes(answer: FileAnswer) -> None:
    """Print what this program says of an answer on stderr, and on a terminal its speed."""
    for line in notes_of(answer):
        note(line)
    rate = rate_of(answer.result)
    if is_terminal(sys.stderr) and rate is not None:
        note(f"{answer.result.usage.completion_tokens} tokens, {rate:.0f} tok/s")


def as_json(answer: FileAnswer) -> dict[str, object]:
    """Return everything about an answer."""
    result = answer.result
    return {
        "text": answer.body,
        "tool_calls": [call.model_dump(mode="json") for call in result.tool_calls],
        "complete": not answer.failed and (not answer.single or is_complete(result)),
        "notes": [line for line in notes_of(answer) if line not in result.warnings],
        **results_text.numbers_of(result),
        **({"files": answer.saved.as_json()} if answer.saved.sent else {}),
    }
