"""Reads what is staged, or what changed between two commits, from git's objects.

Two passes: the names first, and then the changes of those that are no secrets. Nothing of the working tree is read.
"""

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.files.access.ignore_rules import ignore_rules
from mcp_local_llm.files.access.roots import without_links
from mcp_local_llm.files.access.secrets import holds_private_key
from mcp_local_llm.files.reading.file_text import FileText, Reading, shown
from mcp_local_llm.files.reading.git_command import Git, find_git
from mcp_local_llm.files.reading.opening import MAX_FILE_BYTES, Gate
from mcp_local_llm.files.reading.text import decoded, lines_of
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.values.errors import FileAccessError

MAX_CHANGED_FILES = 200
MAX_ALTERNATES_BYTES = 2**20
OFFERED = "Write git:staged, or git:A..B with two commits."

COUNTED_FILES = (
    *("*.lock", "*.lockb", "*-lock.json", "*-lock.yaml", "*.lock.json", "npm-shrinkwrap.json", "go.sum", "go.work.sum"),
    *("*.min.js", "*.min.css", "*.map", "*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*.pb.go", "*.pb.cc", "*.pb.h"),
    *("*.g.dart", "*.freezed.dart", "*.designer.cs", "node_modules/", "vendor/", "dist/", "__snapshots__/", "*.snap"),
)
"""Lock files and generated ones: of these, names and counts of lines are told."""

_GENERATED = re.compile(r"^[ +-].*(?:@generated|Code generated .*DO NOT EDIT|DO NOT EDIT.*generated)", re.MULTILINE)
_REVISION = re.compile(r"[^\s\x00-\x20:\x7f-][^\s\x00-\x20:\x7f]{0,255}")
_COMMON = (
    *("--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--submodule=short", "--ignore-submodules=dirty"),
    *("--no-relative", "-O/dev/null"),
)
_PATCH = ("-p", "-U3", "--inter-hunk-context=0", "--src-prefix=a/", "--dst-prefix=b/", "--diff-algorithm=default")


@dataclass(frozen=True)
class _Change:
    """A changed file. `added` and `deleted` are numbers of lines; None for a binary file."""

    name: str
    added: int | None
    deleted: int | None

    def counts(self) -> str:
        """Say how much changed."""
        return "binary" if self.added is None else f"+{self.added} -{self.deleted}"


def read_git(source: str, gate: Gate, environ: Mapping[str, str], *, each_file: bool) -> Reading:
    """Read a diff; `source` is what follows `git:`.

    Args:
        source: `staged`, `A..B` or `A...B` (since the two parted).
        gate: what may be read; its first root is the repository's folder.
        environ: the process's environment, for the PATH.
        each_file: one text for each changed file, instead of one for all.

    Raises:
        FileAccessError: of kind `git`, `missing`, `too_many`, `too_large` or `secret`.
    """
    root = gate.roots.base
    assert root is not None
    git = find_git(root, environ, gate.roots.folders)
    _require_own_data(git)
    command = _comparison(git, source)
    names = [os.fsdecode(name) for name in git.run(*command, *_COMMON, "--name-only", "-z").split(b"\0") if name]
    left_out: Counter[str] = Counter()
    kept = [name for name in names if not _left_out(root / name, root, gate, left_out)]
    # A path stands for what is below it as well: where a file became a folder, its secrets would come along.
    kept = [name for name in kept if not any(other.startswith(f"{name}/") for other in names)]
    if len(kept) > MAX_CHANGED_FILES:
        raise FileAccessError(
            f"git:{source} changes {len(kept):,} files; at most {MAX_CHANGED_FILES} are read. Choose a smaller range.",
            "too_many",
        )
    if not kept:
        raise _nothing(source, left_out)
    changes = _numbers(git.run(*command, *_COMMON, "--numstat", "-z", "--", *kept), kept)
    wanted = [change.name for change in changes if change.added is not None and not _only_counted(change.name)]
    sections = _sections(git.run(*command, *_COMMON, *_PATCH, "--", *wanted), wanted) if wanted else {}
    keys = {name for name, section in sections.items() if holds_private_key(section)}
    keys = {name for name in keys if not gate.secrets.allows(root / name, root)}
    left_out.update({"secret": len(keys)} if keys else {})
    changes = [change for change in changes if change.name not in keys]
    return _reading(f"git:{source}", changes, sections, left_out, each_file=each_file)


def _reading(
    name: str, changes: Iterable[_Change], sections: Mapping[str, bytes], left_out: Counter[str], *, each_file: bool
) -> Reading:
    """Put names, counts and changes together."""
    entries: list[FileText] = []
    counted: list[str] = []
    notes: list[str] = []
    for change in changes:
        section = sections.get(change.name, b"")
        told = f"{shown(change.name)}: {change.counts()}"
        text = ""
        if section and len(section) <= MAX_FILE_BYTES:
            found = decoded(section.replace(b"\0", b"\xef\xbf\xbd"), shown(change.name))
            text = "" if _GENERATED.search(found.text) else found.text
            if found.guessed and text:
                notes.append(f"{shown(change.name)} is no UTF-8; it was read as Latin-1.")
        if not text:
            counted.append(told)
        entries.append(_text(shown(change.name), text or f"{told}\n"))
    if not entries:
        raise _nothing(name.removeprefix("git:"), left_out)
    if counted:
        notes.append(f"{name}: only counted, not read: {', '.join(counted[:20])}{' …' if len(counted) > 20 else ''}.")
    if not each_file:
        entries = [_text(name, "".join(entry.text for entry in entries))]
    return Reading(tuple(entries), left_out, tuple(notes))


def _text(name: str, text: str) -> FileText:
    count = len(lines_of(text))
    return FileText(name, text, 1, count, count)


def _nothing(source: str, left_out: Mapping[str, int]) -> FileAccessError:
    if left_out:
        return FileAccessError(
            f"git:{source} changes only files that are never read ({sum(left_out.values())}).", "secret"
        )
    what = (
        "Nothing is staged. Stage changes with git add"
        if source == "staged"
        else f"git:{source} changes no file. Check it"
    )
    return FileAccessError(f"{what}, or name files.", "missing")


def _left_out(path: Path, root: Path, gate: Gate, left_out: Counter[str]) -> bool:
    kind = "denied" if gate.secrets.denies(path) else "secret" if gate.secrets.is_secret(path, root) else None
    left_out.update([kind] if kind else [])
    return kind is not None


def _only_counted(name: str) -> bool:
    return ignore_rules(COUNTED_FILES, fold=True).holds(name.split("/"))


def _comparison(git: Git, source: str) -> list[str]:
    """Return the command that compares; it names commits by their ids alone."""
    if source == "staged":
        head = _commit(git, "HEAD") or git.run("hash-object", "-t", "tree", "--stdin").decode().strip()
        return ["diff-index", "--cached", head]
    ends = re.split(r"\.\.\.?", source)
    if len(ends) != 2:
        raise FileAccessError(f"git:{shown(source)} is not offered. {OFFERED}", "git")
    ids: list[str] = []
    for end in (end or "HEAD" for end in ends):
        if not _REVISION.fullmatch(end):
            raise FileAccessError(f"git:{shown(source)} names no commit: {shown(end)!r} is refused. {OFFERED}", "git")
        if (commit := _commit(git, end)) is None:
            raise FileAccessError(f"git:{shown(source)}: there is no commit {shown(end)}. Check the name.", "missing")
        ids.append(commit)
    if "..." in source:
        code, found, _ = git.attempt("merge-base", *ids)
        if code != 0:
            raise FileAccessError(f"git:{source}: the two have no common beginning. Write two dots.", "git")
        ids[0] = found.decode().split()[0]
    return ["diff-tree", "-r", *ids]


def _commit(git: Git, revision: str) -> str | None:
    """Return the id of a commit, None where there is none."""
    code, found, _ = git.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    return found.decode().strip() if code == 0 else None


def _require_own_data(git: Git) -> None:
    """Refuse a repository whose data lie elsewhere: a `.git` that leads to another one would show its contents.

    A linked worktree is told by the way back: its folder in the other repository names this one.
    """
    found = git.run("rev-parse", "--absolute-git-dir", "--path-format=absolute", "--git-common-dir").decode()
    own, common = (without_links(Path(line)) for line in found.splitlines())
    strays = [place for place in _places_of_data(common) if not without_links(place).is_relative_to(common)]
    inside = own.is_relative_to(git.root) and common.is_relative_to(git.root)
    if strays or not (inside or _is_worktree(own, common, git.root)):
        raise FileAccessError(
            f"git's data of {git.root} lie outside it, so they are not read. Name files instead, or start the agent in "
            "the repository that holds them.",
            "git",
        )


def _places_of_data(common: Path) -> Iterator[Path]:
    """Yield where git looks for commits: what leads elsewhere would show the contents of another repository.

    Commits can be named by the beginning of their ids, so objects without a name count as well.
    """
    yield from (common / part for part in ("HEAD", "index", "objects", "refs", "packed-refs"))
    for folder in ("objects", "objects/info", "objects/pack"):
        with contextlib.suppress(OSError), os.scandir(common / folder) as found:
            yield from (Path(entry.path) for entry in found if entry.is_symlink())
    for folder, below, names in os.walk(common / "refs"):
        yield from (path for path in (Path(folder, name) for name in (*below, *names)) if path.is_symlink())
    with contextlib.suppress(OSError):
        others = read_regular(common / "objects/info/alternates", MAX_ALTERNATES_BYTES)
        # Other folders of objects, which may name further ones: they are not followed.
        yield from (Path("/") for line in others.split(b"\n") if line.strip() and not line.startswith(b"#"))


def _is_worktree(own: Path, common: Path, root: Path) -> bool:
    try:
        back = (own / "gitdir").read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return False
    return own.parent == common / "worktrees" and without_links(Path(back)) == without_links(root / ".git")


def _numbers(output: bytes, kept: Iterable[str]) -> list[_Change]:
    known = set(kept)
    changes: list[_Change] = []
    for record in output.split(b"\0"):
        added, _, rest = record.partition(b"\t")
        deleted, _, name = rest.partition(b"\t")
        if (told := os.fsdecode(name)) in known:
            numbers = (int(added), int(deleted)) if added.isdigit() else (None, None)
            changes.append(_Change(told, *numbers))
    return changes


def _sections(patch: bytes, wanted: Iterable[str]) -> dict[str, bytes]:
    """Divide a patch by its files; what belongs to none of the wanted ones is dropped.

    Lines of content begin with a sign or a blank, so a header can't be forged by a file.
    """
    headers = {os.fsencode(f"diff --git {_quoted('a/' + name)} {_quoted('b/' + name)}"): name for name in wanted}
    found: dict[str, bytes] = {}
    for section in re.split(rb"^(?=diff --git )", patch, flags=re.MULTILINE):
        if (name := headers.get(section.partition(b"\n")[0])) is not None:
            found[name] = found.get(name, b"") + section
    return found


_ESCAPES = {"\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r", '"': '"', "\\": "\\"}


def _quoted(path: str) -> str:
    """Write a path as git does in a header."""
    letters = [
        f"\\{_ESCAPES[letter]}"
        if letter in _ESCAPES
        else f"\\{ord(letter):03o}"
        if letter < " " or letter == "\x7f"
        else letter
        for letter in path
    ]
    written = "".join(letters)
    return f'"{written}"' if written != path else path
