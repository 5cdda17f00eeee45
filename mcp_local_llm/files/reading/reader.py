"""Reads what a call names in `files`. It must not know which model the text is for.

All of this touches the disk and may run git: call it on a thread.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcp_local_llm.files.access.deny_rules import read_deny_rules
from mcp_local_llm.files.access.roots import Roots, find_roots
from mcp_local_llm.files.access.secrets import SecretRules
from mcp_local_llm.files.reading.entries import Entry, GitSource, NamedFile, Pattern, checked_files, read_entry
from mcp_local_llm.files.reading.file_text import FileFailure, FileText, Reading, shown
from mcp_local_llm.files.reading.git_diff import read_git
from mcp_local_llm.files.reading.opening import Gate
from mcp_local_llm.files.reading.text import cut, decoded, lines_of
from mcp_local_llm.files.reading.walk import matches
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.values.errors import FileAccessError

MAX_FILES = 200
"""The most files of one call."""

MAX_TOLD = 5
"""Failures that one error tells in full."""

UNREAD_IN_PATTERNS = frozenset({"secret", "denied", "outside", "missing", "special", "changed"})
"""Kinds of failures for which a file that only a pattern matches is left out and counted."""


@dataclass(frozen=True)
class FileReader:
    """Reads files for one session.

    Attributes:
        roots: which folders count.
        environ: the process's environment: the PATH for git, and where the agent's settings are.
        secret_names, allow: as in the settings.
    """

    roots: Roots
    environ: Mapping[str, str]
    secret_names: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()

    def gate(self, tools: Collection[str] = ("Read",)) -> Gate:
        """Return what decides which files may be read; the agent's own rules, about these `tools`, are read anew.

        Raises:
            FileAccessError: of kind `denied`: those rules cannot be read.
        """
        denied = read_deny_rules(self.roots, self.environ, tools)
        return Gate(self.roots, SecretRules(self.secret_names, self.allow, denied))

    def read(self, files: object, *, each_file: bool = False) -> Reading:
        """Read the files of a call, in their order; one that is named twice is read once.

        Args:
            files: a string or a list of strings.
            each_file: a file that fails becomes an entry, and a diff one entry for each changed file. Without it the
                first failures are raised.

        Raises:
            InvalidRequestError: `files` is no list of names.
            FileAccessError: of the first failure; the message tells several.
        """
        entries = checked_files(files)
        reading = _Gathering(self.gate(), self.environ, each_file)
        for entry in dict.fromkeys(entries):
            reading.add(entry)
        return reading.done()


def file_reader(settings: Settings, environ: Mapping[str, str], *, cwd: Path | None, home: Path) -> FileReader:
    """Make the reader of a session.

    Args:
        settings: the session's own.
        environ: the process's environment.
        cwd: the folder that the process was started in, before it leaves it; None where it is gone.
        home: the user's home folder.
    """
    roots = find_roots(environ, cwd=cwd, home=home, more=settings.roots)
    return FileReader(roots, environ, settings.secret_names, settings.allow)


@dataclass
class _Gathering:
    """What one call has read so far."""

    gate: Gate
    environ: Mapping[str, str]
    each_file: bool
    entries: list[FileText | FileFailure] = field(default_factory=list[FileText | FileFailure])
    left_out: Counter[str] = field(default_factory=Counter[str])
    notes: list[str] = field(default_factory=list[str])
    changes: dict[int, str] = field(default_factory=dict[int, str])
    seen: set[tuple[object, int, int]] = field(default_factory=set[tuple[object, int, int]])

    def add(self, text: str) -> None:
        """Read what one entry of the list stands for."""
        try:
            entry = read_entry(text, self.gate.roots)
            self._add(entry)
        except FileAccessError as error:
            if error.kind == "too_many":
                raise
            self._fail(shown(text), error)

    def done(self) -> Reading:
        """Return the reading, or raise where files failed that nobody wants as rows."""
        failures = [entry for entry in self.entries if isinstance(entry, FileFailure)]
        if failures and not self.each_file:
            more = len(failures) - MAX_TOLD
            told = [failure.message for failure in failures[:MAX_TOLD]] + ([f"{more} more failed."] if more > 0 else [])
            raise FileAccessError("\n".join(dict.fromkeys(told)), failures[0].kind)
        if (more := len(self.notes) - MAX_TOLD) > 0:
            self.notes[MAX_TOLD:] = [f"{more} more notes of this kind."]
        if self.left_out:
            self.notes.append(f"Left out: {left_out_words(self.left_out)}.")
        return Reading(self._told_apart(), dict(self.left_out), tuple(self.notes))

    def _add(self, entry: Entry) -> None:
        match entry:
            case NamedFile():
                self._take([self._text(entry)])
            case GitSource(text):
                found = read_git(text, self.gate, self.environ, each_file=self.each_file)
                self._take(found.texts, entry.text)
                self.left_out.update(found.left_out)
                self.notes += found.notes
            case Pattern(text):
                self._add_matches(text)

    def _add_matches(self, pattern: str) -> None:
        base = self.gate.roots.base
        assert base is not None
        found = matches(pattern, base, lambda path: self.gate.secrets.is_secret(path, base))
        if len(found.paths) > MAX_FILES:
            raise _too_many(f"{shown(pattern)} matches {len(found.paths):,} files")
        left_out = Counter(found.left_out)
        names: list[str] = []
        read = 0
        for path in found.paths:
            named = NamedFile(str(path.relative_to(base)), path)
            try:
                self._take([self._text(named)])
                read += 1
            except FileAccessError as error:
                if error.kind in UNREAD_IN_PATTERNS:
                    left_out[error.kind] += 1
                elif error.kind == "binary" and not self.each_file:
                    left_out["binary"] += 1
                    names.append(shown(named.name))
                else:
                    self._fail(shown(named.name), error)
                    read += 1
        if not read:
            counted = f" Left out: {left_out_words(left_out)}." if left_out else ""
            raise FileAccessError(
                f"{shown(pattern)} matches no file that is read.{counted} Check the pattern.", "missing"
            )
        if names:
            more = " …" if len(names) > MAX_TOLD else ""
            self.notes.append(f"Binary, so left out: {', '.join(names[:MAX_TOLD])}{more}.")
        self.left_out.update(left_out)

    def _text(self, named: NamedFile) -> FileText:
        """Read one file, or the wanted lines of it."""
        content, real = self.gate.read(named.path, named.name)
        name = shown(named.name)
        found = decoded(content, name)
        if found.guessed:
            self.notes.append(f"{name} is no UTF-8; it was read as Latin-1, which is a guess.")
        lines = lines_of(found.text)
        text = FileText(named.name, found.text, 1, len(lines), len(lines), real)
        if named.lines is None:
            return text
        wanted, has = cut(lines, named.lines, name)
        if has != named.lines:
            self.notes.append(f"{name} has {len(lines)} lines; lines {has} were read, not {named.lines}.")
        return replace(text, text="".join(wanted), first=has.first, last=has.last)

    def _fail(self, name: str, error: FileAccessError) -> None:
        self.entries.append(FileFailure(name, error.kind, str(error)))
        if len(self.entries) > MAX_FILES:
            raise _too_many("The list stands for more files")

    def _take(self, texts: Iterable[FileText], comparison: str = "") -> None:
        for text in texts:
            mark = (text.path or f"{comparison}:{text.name}", text.first, text.last)
            if mark in self.seen:
                continue
            self.seen.add(mark)
            if len(self.seen) > MAX_FILES:
                raise _too_many("The list stands for more files")
            if comparison:
                self.changes[len(self.entries)] = comparison
            self.entries.append(text)

    def _told_apart(self) -> tuple[FileText | FileFailure, ...]:
        """Return the entries; a change names its comparison where a file or another change has its name."""
        names = Counter(entry.name for entry in self.entries)
        return tuple(
            replace(entry, name=f"git:{self.changes[at]} {entry.name}")
            if at in self.changes and names[entry.name] > 1
            else entry
            for at, entry in enumerate(self.entries)
        )


WORDS: Mapping[str, tuple[str, str]] = {
    "secret": ("file with secrets", "files with secrets"),
    "denied": ("file that the agent's own settings forbid", "files that the agent's own settings forbid"),
    "ignored": ("file or folder that git ignores", "files or folders that git ignores"),
    "hidden": ("hidden file or folder", "hidden files or folders"),
    "links": ("link to a folder", "links to folders"),
    "outside": ("link that leads outside", "links that lead outside"),
    "binary": ("binary file", "binary files"),
    "missing": ("link that leads nowhere", "links that lead nowhere"),
    "special": ("special file", "special files"),
    "unreadable": ("folder that cannot be listed", "folders that cannot be listed"),
    "changed": ("file that was replaced meanwhile", "files that were replaced meanwhile"),
}


def left_out_words(left_out: Mapping[str, int]) -> str:
    """Say what was left out, e.g. `2 files with secrets, 1 binary file`."""
    return ", ".join(f"{count} {WORDS[kind][count != 1]}" for kind, count in left_out.items() if count)


def _too_many(what: str) -> FileAccessError:
    return FileAccessError(
        f"{what}; at most {MAX_FILES} are read in one call. Name fewer, or a narrower pattern.", "too_many"
    )
