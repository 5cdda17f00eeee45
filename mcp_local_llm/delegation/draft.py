"""Writes answers into files: one, one for each file read, or rows into one file as they come."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio.to_thread

from mcp_local_llm.delegation.answer import answer_whole
from mcp_local_llm.delegation.call import Call
from mcp_local_llm.delegation.each_file import ask_each, source_of, told
from mcp_local_llm.delegation.requests import whole_request
from mcp_local_llm.delegation.task import DraftOrder, FileAnswer
from mcp_local_llm.delegation.workplace import saved_words
from mcp_local_llm.files.reading.file_text import FileText, shown
from mcp_local_llm.files.writing.draft_batch import Batch, DraftBatch, Place, RowsBatch
from mcp_local_llm.files.writing.drafts import Drafts, unfinished
from mcp_local_llm.files.writing.journal import Journal, content_digest
from mcp_local_llm.files.writing.output_names import has_placeholder, is_rows_file, output_paths
from mcp_local_llm.values.errors import ContextLengthError, InvalidRequestError

NEW_FILE = (
    "Your answer becomes the file {path} as it is. Answer with the content of that file alone: no words before or "
    "after it, no fence around it."
)
EDIT = (
    "Your answer replaces the file {path} as it is. Answer with the whole new content of that file, and leave "
    "everything as it is that need not change: no words before or after it, no fence around it."
)


def require_whole(order: DraftOrder) -> None:
    """Check what can be checked before anything is read.

    Raises:
        InvalidRequestError: there is nothing to write.
    """
    if not order.path.strip():
        raise InvalidRequestError("path is empty. Name the file that the answer becomes.")
    if order.path.rstrip() != order.path.rstrip().rstrip("/"):
        raise InvalidRequestError(f"path {order.path!r} names a folder. Name the file that the answer becomes.")
    task = order.task
    if not order.restore and (task is None or (not task.message.strip() and not task.template)):
        raise InvalidRequestError("message is empty. Say what to write, or name a template; or use restore=true.")


async def write_draft(call: Call, order: DraftOrder) -> FileAnswer:
    """Write one answer into one file, or many; see `DraftOrder`.

    Raises:
        FileAccessError: nothing may be written there, or the answer is not whole; the old file is as it was.
        LocalLLMError: as `LLM.chat`.
    """
    drafts = await anyio.to_thread.run_sync(call.workplace.drafts)
    path = call.workplace.absolute(order.path)
    if call.task.each_file:
        return await (_rows if is_rows_file(order.path) else _many)(call, order, drafts)
    draft = await anyio.to_thread.run_sync(partial(drafts.begin, path, overwrite=order.overwrite))
    if draft.previous is None and has_placeholder(order.path):
        raise InvalidRequestError(f"path {order.path!r} holds the name of each file: call again with each_file=true.")
    edited = _edits(call, [draft.target.path])
    call = _with_form(call, (EDIT if edited else NEW_FILE).format(path=path.name))
    if edited:
        # An edit needs the whole text before it, so it is never made from notes about its parts.
        call = replace(call, task=replace(call.task, split=False))
    try:
        result, _, saved = await answer_whole(call)
    except ContextLengthError as error:
        if not edited:
            raise
        told = f"An edit needs the whole file at once, so split=true does not help. {error}"
        raise ContextLengthError(told) from error
    if not unfinished(result) and (fault := await anyio.to_thread.run_sync(draft.fault, result.text)):
        request = whole_request(call.question, call.reading.texts, call.workplace.key)
        result, _ = await call.asker.second(request, result, fault)
    report = await anyio.to_thread.run_sync(draft.finish, result)
    saved = replace(
        saved, written=await call.tokens(result.text), returned=await call.tokens(report.head + report.excerpt)
    )
    head = " ".join([report.head, *report.warnings, *call.reading.notes, saved_words(saved, call.reading.texts)])
    return FileAnswer(head, report.excerpt, replace(result, text=report.excerpt), saved, (report.path,))


def _edits(call: Call, paths: Sequence[Path]) -> bool:
    """Whether files that are read are those that the answers replace.

    Raises:
        InvalidRequestError: of one of them only a range is read, and the rest would be lost.
    """
    read = [text for text in call.reading.texts if text.path in paths]
    whole = {text.path for text in read if (text.first, text.last) == (1, text.total)}
    if part := next((text for text in read if text.path not in whole), None):
        raise InvalidRequestError(
            f"The answer would replace the whole of {shown(part.name)}, of which only lines {part.first}-{part.last} "
            "are read. Name the file without a range, or another path."
        )
    return bool(read)


async def _many(call: Call, order: DraftOrder, drafts: Drafts) -> FileAnswer:
    """Write a file for each file that is read."""
    texts = {source_of(text): text for text in call.reading.texts}
    paths = output_paths(order.path, [text.name for text in texts.values()])
    places = {source: call.workplace.absolute(path) for source, path in zip(texts, paths, strict=True)}
    edited = _edits(call, [*places.values()])

    def make(journal: Journal, found: Mapping[str, FileText]) -> Batch:
        wanted = [Place(source, content_digest(text.text), places[source]) for source, text in found.items()]
        return DraftBatch(drafts, journal, wanted, overwrite=order.overwrite)

    call = _with_form(call, (EDIT if edited else NEW_FILE).format(path="that belongs to it"))
    if edited:
        call = replace(call, task=replace(call.task, split=False))
    outcome = await ask_each(call, make, order.path)
    outcome.saved = replace(outcome.saved, written=await call.tokens("\n".join(outcome.written)))
    answered = await told(call, outcome)
    done = [places[row.path] for row in outcome.batch.rows if not row.error]
    return replace(answered, files=(*done[:10], *answered.files))


async def _rows(call: Call, order: DraftOrder, drafts: Drafts) -> FileAnswer:
    """Write a row for each file that is read into one file."""
    path = call.workplace.absolute(order.path)
    as_json = call.question.base.response_schema is not None
    draft = await anyio.to_thread.run_sync(drafts.look_at, path)
    made: list[RowsBatch] = []

    def make(journal: Journal, found: Mapping[str, FileText]) -> Batch:
        sources = {source: content_digest(text.text) for source, text in found.items()}
        made.append(RowsBatch(draft, journal, sources, as_json=as_json, overwrite=order.overwrite))
        return made[0]

    try:
        outcome = await ask_each(call, make, order.path)
    finally:
        report = made[0].close() if made else None
    assert report is not None
    outcome.saved = replace(outcome.saved, written=await call.tokens("\n".join(outcome.written)))
    answered = await told(call, outcome, errors_only=True)
    files = (report.path,) if report.excerpt else ()
    return replace(answered, head=f"{report.head} {answered.head}", files=(*files, *answered.files))


def _with_form(call: Call, form: str) -> Call:
    return replace(call, question=replace(call.question, text=f"{call.question.text}\n\n{form}"))
