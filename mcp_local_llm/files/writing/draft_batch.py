"""Files of one call, one for each file that it reads, written so that the same call goes on after any end.

An answer is in the journal before its file is written: what a crash leaves unwritten is written without the model.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.files.writing.drafts import Draft, Drafts, unfinished
from mcp_local_llm.files.writing.journal import Journal, JournalRow
from mcp_local_llm.files.writing.report import DraftReport, excerpt, size_words
from mcp_local_llm.files.writing.rows import Row, answer_row
from mcp_local_llm.files.writing.rows_file import RowsFile
from mcp_local_llm.values.chat import ChatResult
from mcp_local_llm.values.errors import FileAccessError


@dataclass(frozen=True)
class Place:
    """A file to read and the file that its answer becomes.

    Attributes:
        source: the file as the call names it.
        digest: `content_digest` of its bytes.
        path: where the answer goes, absolute.
    """

    source: str
    digest: str
    path: Path


class Batch(ABC):
    """Takes the answers of one call, and knows what became of its files; a source is a file as the call names it."""

    def __init__(self, sources: Iterable[str]) -> None:
        self._rows: dict[str, Row | None] = dict.fromkeys(sources)

    @property
    def pending(self) -> tuple[str, ...]:
        """The sources that still need an answer."""
        return tuple(source for source, row in self._rows.items() if row is None)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of the other sources."""
        return tuple(row for row in self._rows.values() if row is not None)

    def fault(self, source: str, answer: str) -> str:
        """Return what is wrong with an answer, for a second try; nothing is, unless a batch says so."""
        return ""

    @abstractmethod
    def write(self, source: str, result: ChatResult) -> Row:
        """Take an answer; one that is not whole, or cannot be written, is a row that says so."""

    def fail(self, source: str, error: str, remedy: str) -> Row:
        """Note that a source has no answer; `error` is one word."""
        return self.note(Row(source, error=error, remedy=remedy))

    def note(self, row: Row) -> Row:
        """Note what became of a source."""
        self._rows[row.path] = row
        return row


class DraftBatch(Batch):
    """Drafts of one call. Every place is checked before the first answer is computed; one that will not do is a row.

    Args:
        drafts: where drafts may be written.
        journal: the rows of this call.
        places: in the order of the call's files.
        overwrite: whether files that exist may be replaced.
    """

    def __init__(self, drafts: Drafts, journal: Journal, places: Sequence[Place], *, overwrite: bool) -> None:
        super().__init__(place.source for place in places)
        self._journal = journal
        self._begun: dict[str, tuple[Place, Draft]] = {}
        for place in places:
            try:
                self._begin(drafts, place, overwrite)
            except FileAccessError as error:
                self.fail(place.source, error.kind, str(error))

    def fault(self, source: str, answer: str) -> str:
        """Return what is wrong with an answer as the file that it becomes, for a second try; else an empty text."""
        return self._begun[source][1].fault(answer)

    def write(self, source: str, result: ChatResult) -> Row:
        """Write an answer. One that is not whole, or cannot be written, is a row that says so."""
        place, draft = self._begun[source]
        try:
            if not unfinished(result):
                with suppress(FileAccessError):  # A full state folder is no reason to lose the answer.
                    self._journal.add(JournalRow(source, place.digest, result.text, draft.digest(result.text)))
            return self.note(Row(source, _told(draft, draft.finish(result))))
        except FileAccessError as error:
            return self.fail(source, error.kind, str(error))

    def _begin(self, drafts: Drafts, place: Place, overwrite: bool) -> None:
        answer = self._journal.taken_up(place.source, place.digest)
        if answer is not None and (there := drafts.look_at(place.path)).holds(answer):
            self.note(Row(place.source, f"{there.target.relative}: written before", taken_up=True))
            return
        draft = drafts.begin(place.path, overwrite=overwrite)
        self._begun[place.source] = place, draft
        if answer is not None:
            self.note(Row(place.source, _told(draft, draft.write(answer)), taken_up=True))


class RowsBatch(Batch):
    """One call whose answers become the rows of one file, a JSON object a line, written as they come.

    Args:
        draft: the file, from `Drafts.look_at`.
        journal: the rows of this call.
        sources: each file as the call names it, and `content_digest` of what is read of it.
        as_json: the answers are JSON values, not texts.
        overwrite: whether a file that exists may be replaced.

    Raises:
        FileAccessError: the file cannot be written, or is another one and may not be replaced.
    """

    def __init__(
        self, draft: Draft, journal: Journal, sources: Mapping[str, str], *, as_json: bool, overwrite: bool
    ) -> None:
        super().__init__(sources)
        self._draft, self._journal, self._digests, self._as_json = draft, journal, sources, as_json
        earlier: dict[str, str] = {}
        for row in journal.rows:
            with suppress(ValueError):  # An answer that is no JSON makes no row; its file is asked about again.
                earlier[row.file] = self._line(row.file, row.answer)
        self._lines: list[str] = []
        for source, line in earlier.items():
            answer = journal.taken_up(source, sources.get(source, ""))
            if answer is not None:
                self._lines.append(line)
                self.note(Row(source, answer, taken_up=True))
        self._file = RowsFile(draft, self._lines, [*earlier.values()], overwrite=overwrite)

    def write(self, source: str, result: ChatResult) -> Row:
        """Write an answer. One that is not whole, or cannot be written, is a row that says so, and no line."""
        try:
            if end := unfinished(result):
                return self.fail(source, end.kind, end.told)
            line = self._line(source, result.text)
            self._journal.add(JournalRow(source, self._digests[source], result.text))
            self._file.append(line)
        except ValueError as error:
            return self.fail(source, "incomplete", str(error))
        except FileAccessError as error:
            return self.fail(source, error.kind, str(error))
        self._lines.append(line)
        return self.note(Row(source, result.text))

    def close(self) -> DraftReport:
        """Close the file and report it."""
        self._file.close()
        text = "".join(f"{line}\n" for line in self._lines)
        path = self._draft.target.path
        if not text:
            return DraftReport(path, "not written, because there is no answer")
        return DraftReport(path, f"{size_words(text, len(text.encode()))}, one for each answer", "", excerpt(text))

    def _line(self, source: str, answer: str) -> str:
        return answer_row(source, answer, as_json=self._as_json)


def _told(draft: Draft, report: DraftReport) -> str:
    """Write a report as short as a row has to be."""
    return " ".join((f"{draft.target.relative}: {report.summary}.", *report.warnings))
