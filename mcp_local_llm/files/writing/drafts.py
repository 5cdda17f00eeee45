"""Answers that become files: everything that can be refused is refused before the model begins, and nothing is lost.

A draft is begun (the place is checked, the old file read), then written once, or its answer is kept where that fails.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mcp_local_llm.files.access.secrets import holds_private_key
from mcp_local_llm.files.writing.atomic_write import Previous, read_previous, write_whole
from mcp_local_llm.files.writing.fenced_answer import unwrap
from mcp_local_llm.files.writing.journal import content_digest
from mcp_local_llm.files.writing.report import (
    DraftReport,
    bounded_diff,
    diffstat,
    excerpt,
    left_out,
    shrunk,
    size_words,
)
from mcp_local_llm.files.writing.state import StateFolder
from mcp_local_llm.files.writing.syntax import syntax_fault
from mcp_local_llm.files.writing.targets import Target, draft_target
from mcp_local_llm.files.writing.text_form import TextForm, read_text
from mcp_local_llm.files.writing.versions import keep_version, latest_version
from mcp_local_llm.values.chat import ChatResult
from mcp_local_llm.values.errors import FileAccessError


@dataclass(frozen=True)
class Drafts:
    """Where drafts may be written, and where old versions are kept.

    Attributes:
        roots: the folders that allow files, resolved.
        check: refuses a resolved path that may not be read either, such as a secret's; raises `FileAccessError`.
        state: keeps old versions, and answers that could not be written.
    """

    roots: Sequence[Path]
    check: Callable[[Path], None]
    state: StateFolder

    def begin(self, path: Path, *, overwrite: bool = False) -> "Draft":
        """Check a place and read the file that is there. Writes nothing.

        Args:
            path: absolute, as named.
            overwrite: whether a file that exists may be replaced.

        Raises:
            FileAccessError: nothing may or can be written there.
        """
        draft = self.look_at(path)
        if draft.previous is not None and not overwrite:
            raise occupied(path)
        return draft

    def look_at(self, path: Path) -> "Draft":
        """Check a place as `begin` does, whether or not a file is there; to see whether a row was written already."""
        target = draft_target(path, self.roots, self.check)
        previous = read_previous(target)
        if previous is None:
            return Draft(target, None, "", TextForm(), self.state)
        if holds_private_key(previous.content):  # a diff would tell it
            raise FileAccessError(f"{path} is not replaced: it holds a secret. Choose another path.", "secret")
        try:
            old, form = read_text(previous.content)
        except FileAccessError as error:
            raise FileAccessError(f"{path} is not replaced. {error} Choose another path.", error.kind) from error
        return Draft(target, previous, old, form, self.state)

    def restore(self, path: Path) -> DraftReport:
        """Bring back the version that the last draft replaced; called again, the one before it.

        The content that goes is kept as well. The version is taken off the pile when the file is whole.

        Raises:
            FileAccessError: no version is kept, or the file cannot be written.
        """
        target = draft_target(path, self.roots, self.check)
        version = latest_version(self.state, target.path)
        present = read_previous(target)
        gone = None
        if present is not None:
            gone = keep_version(self.state, target.path, present, restored=True)
            write_whole(target, version.content, replace(present, mode=version.mode))
        else:
            write_whole(target, version.content, None, version.mode)
        version.kept.unlink(missing_ok=True)
        more = f"What it replaced is kept in {gone}." if gone else ""
        return DraftReport(target.path, f"the older version is back, {len(version.content):,} bytes", more)


def occupied(path: Path) -> FileAccessError:
    """Return the refusal of a file that exists and may not be replaced."""
    told = f"{path} exists. Name another path, or call again with overwrite=true; the old version is kept."
    return FileAccessError(told, "exists")


@dataclass(frozen=True)
class Draft:
    """A place that was checked, with the file that is there.

    Attributes:
        target: the place.
        previous: the file that is there, None for a new one.
        old: its text, each line ended by a line feed.
        form: the encoding and line ends that the new version gets.
    """

    target: Target
    previous: Previous | None
    old: str
    form: TextForm
    state: StateFolder

    def finish(self, result: ChatResult) -> DraftReport:
        """Write a whole answer.

        Raises:
            FileAccessError: of the kind of `unfinished` where the answer is not whole; else as `write`.
        """
        if end := unfinished(result):
            kept = self._kept(result.text)
            raise FileAccessError(f"{self.target.path} was not written: {end.told}{kept}", end.kind)
        return self.write(result.text)

    def write(self, answer: str) -> DraftReport:
        """Write an answer that is whole.

        Raises:
            FileAccessError: the answer is empty, or the file or its old version cannot be written; the file is as it
                was, and the message says where the answer is kept.
        """
        content, text, warnings = self._content(answer)
        if not text.strip():
            raise FileAccessError(f"{self.target.path} was not written: the answer is empty. Word it anew.", "empty")
        if self.previous is not None and content == self.previous.content:
            return DraftReport(self.target.path, "unchanged, because the answer is what it held")
        kept = None
        try:
            if self.previous is not None:
                kept = keep_version(self.state, self.target.path, self.previous)
            write_whole(self.target, content, self.previous)
        except FileAccessError as error:
            if kept is not None:
                kept.unlink(missing_ok=True)  # Nothing was replaced, so a restore must not find it.
            told = str(error) if error.kind != "state" else f"{self.target.path} was not written: {error}"
            raise FileAccessError(f"{told}{self._kept(answer)}", error.kind) from error
        return self._report(text, len(content), warnings, kept)

    def holds(self, answer: str) -> bool:
        """Whether the file already is what this answer makes: the same call wrote it before it ended early."""
        return self.previous is not None and self.previous.content in (
            self._content(answer)[0],
            TextForm().encode(unwrap(answer, self.target.path).text)[0],
        )

    def digest(self, answer: str) -> str:
        """Return `content_digest` of the file that an answer makes."""
        return content_digest(self._content(answer)[0])

    def fault(self, answer: str) -> str:
        """Return what is wrong with an answer as a file of this name, in words for a second try; else an empty text."""
        text = unwrap(answer, self.target.path).text.strip("\n") + "\n"
        if not text.strip():
            return "it is empty"
        return left_out(text, self.old, self.target.path) or syntax_fault(self.target.path, text) or ""

    def _content(self, answer: str) -> tuple[bytes, str, list[str]]:
        """Return the bytes of the new file, its text and the warnings about both.

        Raises:
            FileAccessError: of kind `binary`: it would be no text file.
        """
        taken = unwrap(answer, self.target.path)
        if "\0" in taken.text:
            told = "the answer holds NUL characters, as no text does. Word it anew."
            raise FileAccessError(f"{self.target.path} was not written: {told}", "binary")
        content, lost = self.form.encode(taken.text)
        return content, read_text(content)[0], [*taken.warnings, *lost]

    def _report(self, text: str, size: int, warnings: Sequence[str], kept: Path | None) -> DraftReport:
        path, name = self.target.path, str(self.target.relative)
        found = list(warnings)
        parsed_before = self.previous is None or syntax_fault(path, self.old) == ""
        if gap := left_out(text, self.old, path):
            found.append(f"Check it: {gap}.")
        if parsed_before and (fault := syntax_fault(path, text)):
            found.append(f"Check it: {fault}.")
        if self.previous is None:
            return DraftReport(path, f"new, {size_words(text, size)}", "", excerpt(text), tuple(found))
        if short := shrunk(self.old, text):
            found.append(short)
        added, removed = diffstat(self.old, text)
        summary = f"+{added} -{removed} lines, now {size_words(text, size)}"
        more = f"The old version is kept in {kept}; restore=true brings it back."
        return DraftReport(path, summary, more, bounded_diff(self.old, text, name), tuple(found))

    def _kept(self, answer: str) -> str:
        """Keep an answer that was not written, and return a sentence about where."""
        try:
            return f" The answer is kept in {self.state.keep_answer(self.target.path.name, answer)}."
        except FileAccessError:
            return " The answer could not be kept."


@dataclass(frozen=True)
class Unfinished:
    """Why an answer is not whole: `kind` is one word, `told` says what to do."""

    kind: str
    told: str


def unfinished(result: ChatResult) -> Unfinished | None:
    """Return why an answer is not whole; None where it is."""
    if result.looped:
        return Unfinished("looped", "the answer only repeated itself and was ended. Word the task differently.")
    if result.finish_reason == "length" or not result.thinking_closed:
        told = "the answer was cut off. Call again with more max_tokens, or with a smaller part of the task."
        return Unfinished("truncated", told)
    if result.schema_met is False:
        told = "the answer does not fit the schema. Call again with a simpler one, or with more max_tokens."
        return Unfinished("schema", told)
    if result.tool_calls and not result.text.strip():
        return Unfinished("tool_call", "the model asked for a tool instead of an answer. Word the task differently.")
    return None
