"""Files of one call, one for each file that it reads, written so that the same call goes on after any end.

An answer is in the journal before its file is written: what a crash leaves unwritten is written without the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.files.drafts import Draft, Drafts, unfinished
from mcp_local_llm.files.journal import Journal, JournalRow
from mcp_local_llm.files.rows import Row
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


class DraftBatch:
    """The drafts of one call. Every place is checked before the first answer is computed.

    Args:
        drafts: where drafts may be written.
        journal: the rows of this call.
        places: in the order of the call's files.
        overwrite: whether files that exist may be replaced.
    """

    def __init__(self, drafts: Drafts, journal: Journal, places: Sequence[Place], *, overwrite: bool) -> None:
        self._journal = journal
        self._digests: Mapping[str, str] = {place.source: place.digest for place in places}
        self._drafts: dict[str, Draft] = {}
        self._rows: dict[str, Row | None] = {place.source: None for place in places}
        for place in places:
            try:
                self._begin(drafts, place, overwrite)
            except FileAccessError as error:
                self._rows[place.source] = Row(place.source, error=error.kind, remedy=str(error))

    @property
    def pending(self) -> tuple[str, ...]:
        """The sources that still need an answer, in their order."""
        return tuple(source for source, row in self._rows.items() if row is None)

    @property
    def rows(self) -> tuple[Row, ...]:
        """What became of the sources so far, in their order."""
        return tuple(row for row in self._rows.values() if row is not None)

    def fault(self, source: str, answer: str) -> str:
        """Return what is wrong with an answer as the file that it becomes, for a second try; else an empty text."""
        return self._drafts[source].fault(answer)

    def write(self, source: str, result: ChatResult) -> Row:
        """Write an answer. One that is not whole, or cannot be written, is a row that says so."""
        draft = self._drafts[source]
        try:
            if not unfinished(result):
                made = draft.digest(result.text)
                self._journal.add(JournalRow(source, self._digests[source], result.text, made))
            row = _told(source, draft, result)
        except FileAccessError as error:
            row = Row(source, error=error.kind, remedy=str(error))
        self._rows[source] = row
        return row

    def fail(self, source: str, error: str, remedy: str) -> None:
        """Note that a source has no answer; `error` is one word."""
        self._rows[source] = Row(source, error=error, remedy=remedy)

    def _begin(self, drafts: Drafts, place: Place, overwrite: bool) -> None:
        answer = self._journal.taken_up(place.source, place.digest)
        if answer is not None and drafts.look_at(place.path).holds(answer):
            self._rows[place.source] = Row(place.source, f"{place.path}: written before", taken_up=True)
            return
        draft = self._drafts[place.source] = drafts.begin(place.path, overwrite=overwrite)
        if answer is not None:
            report = draft.write(answer)
            self._rows[place.source] = Row(place.source, " ".join((report.head, *report.warnings)), taken_up=True)


def _told(source: str, draft: Draft, result: ChatResult) -> Row:
    report = draft.finish(result)
    return Row(source, " ".join((report.head, *report.warnings)))
