"""Asks the same question about each file; the rows of a call that ended early are taken up by the same call."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import anyio
import anyio.to_thread

from mcp_local_llm.delegation.answer import checks_of, in_parts, window_of
from mcp_local_llm.delegation.asking import Checks, Crowd, Faults, Job, added
from mcp_local_llm.delegation.call import Call
from mcp_local_llm.delegation.counting import EDIT_HELP, answer_room
from mcp_local_llm.delegation.requests import row_request
from mcp_local_llm.delegation.task import FileAnswer, TokensSaved
from mcp_local_llm.delegation.workplace import saved_words
from mcp_local_llm.files.reading.file_text import FileText
from mcp_local_llm.files.tasks.checks import without_unquoted
from mcp_local_llm.files.writing.draft_batch import Batch
from mcp_local_llm.files.writing.drafts import unfinished
from mcp_local_llm.files.writing.journal import Journal, JournalRow, call_key, content_digest
from mcp_local_llm.files.writing.rows import Row, rows_text
from mcp_local_llm.values.chat import ChatRequest, ChatResult, Timings, TokenCounts, Usage
from mcp_local_llm.values.errors import (
    ContextLengthError,
    FileAccessError,
    GenerationError,
    InvalidRequestError,
    LocalLLMError,
    release_frames,
)

ROW_ERRORS: Mapping[type[Exception], str] = {
    ContextLengthError: "too_long",
    InvalidRequestError: "refused",
    GenerationError: "failed",
}
"""Errors of one file, and their words; any other error is one of the whole call."""


MakeBatch = Callable[[Journal, Mapping[str, FileText]], Batch]
"""Makes the batch of a call from its journal and its texts by source."""


class AnswerBatch(Batch):
    """Keeps answers in the journal alone: they go back to the caller, and have no form but their template's."""

    def __init__(self, journal: Journal, texts: Mapping[str, FileText]) -> None:
        super().__init__(texts)
        self._journal = journal
        self._digests = {source: content_digest(text.text) for source, text in texts.items()}
        for source, digest in self._digests.items():
            if (earlier := journal.taken_up(source, digest)) is not None:
                self.note(Row(source, earlier, taken_up=True))

    def write(self, source: str, result: ChatResult) -> Row:
        """Take an answer; one that is not whole is a row that says so."""
        if end := unfinished(result):
            return self.fail(source, end.kind, end.told)
        with suppress(FileAccessError):  # A full state folder is no reason to lose the answer.
            self._journal.add(JournalRow(source, self._digests[source], result.text))
        return self.note(Row(source, result.text))


@dataclass
class Outcome:
    """What a call over many files came to.

    Attributes:
        counts: model, window and places.
        saved: tokens of the files and of the call.
        batch: the rows of the files that could be read.
        results: the answers that were computed in this call.
        written: the answers among them that were taken.
        faults: sources whose answers did not pass the check.
        passed: answers that did, by the try that passed.
        stopped: the error that ended the call early.
        not_kept: why the rows are not kept for the same call later; empty where they are.
    """

    counts: TokenCounts
    saved: TokensSaved
    batch: Batch
    results: list[ChatResult] = field(default_factory=list[ChatResult])
    written: list[str] = field(default_factory=list[str])
    faults: list[str] = field(default_factory=list[str])
    passed: Counter[int] = field(default_factory=Counter[int])
    stopped: LocalLLMError | None = None
    not_kept: str = ""

    def check(self, source: str, faults: Faults) -> None:
        """Note what the checks of an answer found."""
        if faults[-1]:
            self.faults.append(source)
        else:
            self.passed[len(faults)] += 1

    def rows(self, call: Call) -> list[Row]:
        """Return the rows of all files, those that could not be read among them, in the order of the call."""
        done = {row.path: row for row in self.batch.rows}
        rows = [
            done.get(source_of(entry))
            if isinstance(entry, FileText)
            else Row(entry.name, error=entry.kind, remedy=entry.message)
            for entry in call.reading.entries
        ]
        return [row for row in rows if row is not None]

    def result(self, text: str) -> ChatResult:
        """Return the numbers of all answers."""
        if self.results:
            return added(self.results, text)
        return ChatResult(text, "", (), "stop", self.counts.model, Usage(), Timings())

    def notes(self, call: Call) -> list[str]:
        """Return the sentences that stand behind the counts."""
        notes = [saved_words(self.saved, call.reading.texts), *call.reading.notes]
        if self.stopped is not None:
            notes.append(f"It ended early: {self.stopped}")
        if self.not_kept:
            notes.append(f"Nothing is kept for a repeat of this call. {self.not_kept}")
        if self.passed:
            count, again = self.passed.total(), self.passed[2]
            passed = "1 answer passed its checks" if count == 1 else f"{count} answers passed their checks"
            notes.append(f"{passed}{f', {again} at the second try' if again else ''}.")
        if self.faults:
            notes.append(f"Check these answers, they do not have the form that was asked for: {_some(self.faults)}.")
        return notes


async def answer_each(call: Call) -> FileAnswer:
    """Answer for a caller, as rows.

    Raises:
        LocalLLMError: nothing could be answered at all.
    """
    outcome = await ask_each(call, AnswerBatch)
    return await told(call, outcome, as_json=call.question.base.response_schema is not None)


async def told(call: Call, outcome: Outcome, *, as_json: bool = False, errors_only: bool = False) -> FileAnswer:
    """Write the rows within the bounds of what may go back; see `rows_text`."""
    tokens = f"{'about ' if outcome.saved.estimated else ''}{outcome.saved.read:,}"
    rows = outcome.rows(call)
    missing = len(call.reading.entries) - len(rows)
    write = partial(rows_text, tokens=tokens, as_json=as_json, missing=missing, errors_only=errors_only)
    bounded = await anyio.to_thread.run_sync(write, rows, call.keep)
    outcome.saved = replace(outcome.saved, returned=await call.tokens(bounded.body))
    head = " ".join([bounded.head, *outcome.notes(call)])
    files = (bounded.rest,) if bounded.rest is not None else ()
    failed = all(row.error for row in rows)
    return FileAnswer(head, bounded.body, outcome.result(bounded.body), outcome.saved, files, failed)


async def ask_each(call: Call, make: MakeBatch, path: str = "") -> Outcome:
    """Ask about every file, several at once.

    Args:
        call: the call.
        make: makes its batch.
        path: of a draft, which is refused where a crash could lose answers; empty where the answers go back.

    Raises:
        FileAccessError: a draft's rows cannot be kept.
        LocalLLMError: nothing could be answered, because of an error that is not one file's own.
    """
    texts = {source_of(text): text for text in call.reading.texts}
    requests = [row_request(call.question, text, call.workplace.key) for text in texts.values()]
    counts, saved = await call.counted(tuple(requests))
    key = _key(call, counts.model, path)
    journal = await anyio.to_thread.run_sync(partial(Journal, call.workplace.state, key, must_last=bool(path)))
    try:
        batch = await anyio.to_thread.run_sync(make, journal, texts)
        outcome = Outcome(counts, saved, batch, not_kept=journal.fault)
        await _ask_pending(call, outcome, texts, dict(zip(texts, requests, strict=True)))
    finally:
        # Kept unless all is done; closing twice does nothing.
        journal.close()
    if not batch.pending and outcome.stopped is None:
        await anyio.to_thread.run_sync(journal.finish)
    return outcome


async def _ask_pending(
    call: Call, outcome: Outcome, texts: Mapping[str, FileText], requests: Mapping[str, ChatRequest]
) -> None:
    counts, batch = outcome.counts, outcome.batch
    tokens = dict(zip(texts, counts.tokens, strict=False))
    pending = batch.pending
    crowd = Crowd(len(pending), counts.places, "files", call.asker.report)
    # One at a time: journal and file of rows have one order, and a write that fails cuts off no other's line.
    writing = anyio.Lock()

    def job_of(source: str) -> Job:
        async def run() -> ChatResult | None:
            try:
                request = requests[source]
                result, faults = await _ask_one(call, texts[source], (request, tokens[source]), counts, crowd)
                if not unfinished(result) and (
                    wrong := await anyio.to_thread.run_sync(batch.fault, source, result.text)
                ):
                    result, _ = await call.asker.second(request, result, wrong, crowd.inner)
            except tuple(ROW_ERRORS) as error:
                word = next(word for kind, word in ROW_ERRORS.items() if isinstance(error, kind))
                batch.fail(source, word, str(error))
                release_frames(error)
                return None
            async with writing:
                row = await anyio.to_thread.run_sync(batch.write, source, result)
            outcome.results.append(result)
            outcome.written += [] if row.error else [result.text]
            if faults and not row.error:
                outcome.check(source, faults)
            return result

        return run

    try:
        with anyio.move_on_after(call.task.max_seconds):
            await crowd.run([job_of(source) for source in pending])
    except LocalLLMError as error:
        if all(row.error for row in batch.rows):
            raise
        release_frames(error)
        outcome.stopped = error


async def _ask_one(
    call: Call, text: FileText, counted: tuple[ChatRequest, int], counts: TokenCounts, crowd: Crowd
) -> tuple[ChatResult, Faults]:
    """Return the answer about one file and what its checks found.

    Raises:
        ContextLengthError: it does not fit, and `split` is not set.
    """
    request, tokens = counted
    checks: Checks = checks_of(call, [text])
    window = window_of(call, counts)
    if window is not None and tokens + answer_room(request, window) > window:
        if not call.splits:
            help_ = EDIT_HELP if call.edits else "split=true reads it in parts"
            raise ContextLengthError(f"{tokens:,} tokens, and {counts.model} has a window of {window:,}; {help_}")
        result, faults = await in_parts(call, [text], counts)
    else:
        try:
            result, faults = await call.asker.ask_checked(request, checks, crowd.inner)
        except ContextLengthError as error:
            if not call.edits:
                raise
            raise ContextLengthError(f"{error} What helps: {EDIT_HELP}.") from error
    if "quote" in checks.names:
        result = replace(result, text=without_unquoted(result.text, checks.sources)[0])
    return result, faults


def source_of(text: FileText) -> str:
    """Return the name of a text with its range, as rows and journal name it."""
    return text.name if (text.first, text.last) == (1, text.total) else f"{text.name}:{text.first}-{text.last}"


def _key(call: Call, model: str, path: str) -> str:
    base = call.question.base
    return call_key(
        {
            "model": model,
            "system": call.question.system,
            "history": [message.model_dump() for message in base.messages],
            "question": call.question.text,
            "template": call.task.template,
            "tools": [tool.model_dump() for tool in base.tools],
            "schema": base.response_schema,
            "sampling": asdict(base.sampling),
            "thinking": [base.thinking, base.max_thinking_tokens],
            "split": call.splits,
            "path": path,
            "files": [entry.name for entry in call.reading.entries],
        }
    )


def _some(sources: list[str]) -> str:
    more = f" and {len(sources) - 10} more" if len(sources) > 10 else ""
    return ", ".join(sources[:10]) + more
