"""A project that tests build and read."""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from mcp_local_llm.files.access.roots import Roots, find_roots
from mcp_local_llm.files.reading.file_text import FileFailure, Reading
from mcp_local_llm.files.reading.reader import FileReader
from mcp_local_llm.values.errors import FileAccessError

PLANTED = "PLANTED-c81f0d"
"""What no answer, note or message may hold."""


@dataclass
class Project:
    """A folder that counts as the project, and the user's home."""

    folder: Path
    home: Path
    secret_names: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=lambda: {"PATH": os.environ["PATH"]})

    @property
    def beside(self) -> Path:
        return self.folder.parent

    @property
    def roots(self) -> Roots:
        return find_roots(self.environ, cwd=self.folder, home=self.home)

    @property
    def reader(self) -> FileReader:
        return FileReader(self.roots, self.environ, self.secret_names, self.allow)

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def link(self, name: str, target: Path | str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        return path

    def read(self, files: object, *, each_file: bool = False) -> Reading:
        reading = self.reader.read(files, each_file=each_file)
        assert PLANTED not in repr(reading)
        return reading

    def outcome(self, files: object) -> str:
        """The text that was read, or the kind of the refusal after `!`."""
        try:
            return "".join(text.text for text in self.read(files).texts)
        except FileAccessError as error:
            refused = error
        assert PLANTED not in str(refused)
        rows = self.read(files, each_file=True).entries
        assert [row.kind for row in rows if isinstance(row, FileFailure)][:1] == [refused.kind]
        return f"!{refused.kind}"

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
            cwd=self.folder, env=self.environ | {"HOME": str(self.home)}, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip


def new_project(folder: Path) -> Project:
    """A project with a secret in it, others beside it and in the user's home."""
    work, home = folder / "work", folder / "home"
    made = Project(work / "project", home)
    made.write("a.py", "one\ntwo\nthree\nfour\nfive\n")
    made.write("src/app.py", "app\n")
    made.write(".env", PLANTED)
    (home / ".ssh").mkdir(parents=True, exist_ok=True)
    (home / ".ssh" / "id_rsa").write_text(PLANTED)
    (work / "outside.txt").write_text(PLANTED)
    (work / "project-evil").mkdir()
    (work / "project-evil" / "a.py").write_text(PLANTED)
    return made


def alarm(folder: Path) -> str:
    """A program that leaves a trace in `ran` beside the project, whatever it is called for."""
    program = folder.parent / "alarm"
    program.write_text(f'#!/bin/sh\necho "$0 $@" >> {folder.parent}/ran\ncat\n')
    program.chmod(0o755)
    return str(program)


def set_traps(repository: Project) -> str:
    """Let a repository name a program everywhere that git looks for one, and return that program.

    `a.py` has a second commit then, and a change that is staged.
    """
    program = alarm(repository.folder)
    config = {
        "core.fsmonitor": program, "core.pager": program, "core.editor": program, "core.sshCommand": program,
        "core.askPass": program, "core.gitProxy": program, "core.hooksPath": str(repository.folder.parent),
        "core.alternateRefsCommand": program, "diff.external": program, "diff.x.command": program,
        "diff.x.textconv": program, "diff.x.cachetextconv": "false", "filter.x.clean": program,
        "filter.x.smudge": program, "filter.x.process": program, "filter.x.required": "true", "gpg.program": program,
        "log.showSignature": "true", "credential.helper": f"!{program}", "pager.diff": program,
        "pager.diff-index": program,
        "alias.diff-index": f"!{program}", "alias.rev-parse": f"!{program}", "interactive.diffFilter": program,
        "diff.noprefix": "true", "diff.mnemonicPrefix": "true", "color.ui": "always", "color.diff": "always",
        "core.quotePath": "true", "diff.renames": "copies",
        "diff.submodule": "log", "submodule.recurse": "true", "diff.context": "0", "diff.relative": "true",
        "diff.srcPrefix": "x/", "diff.dstPrefix": "y/", "diff.interHunkContext": "9", "core.untrackedCache": "true",
    }  # fmt: skip
    repository.write(".gitattributes", "* diff=x filter=x\n")
    repository.write("a.py", "changed\n")
    repository.git("add", "a.py", ".gitattributes")
    repository.git("commit", "-qm", "second")
    repository.write("a.py", "staged\n")
    repository.git("add", "a.py")
    for key, value in config.items():
        repository.git("config", key, value)
    (repository.folder / ".git" / "hooks").mkdir()
    for hook in ("post-index-change", "reference-transaction", "pre-commit"):
        (repository.folder / ".git" / "hooks" / hook).write_text(f"#!/bin/sh\n{program}\n")
        (repository.folder / ".git" / "hooks" / hook).chmod(0o755)
    (repository.folder / "git").write_text(f"#!/bin/sh\n{program}\n")
    (repository.folder / "git").chmod(0o755)
    return program
