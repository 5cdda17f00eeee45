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
