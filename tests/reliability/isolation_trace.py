"""What a process asks of the kernel, as strace writes it: addresses, commands, and files that it opens or changes."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

CHANGES = (
    *("creat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "link", "linkat"),
    *("symlink", "symlinkat", "mknod", "mknodat", "truncate", "chmod", "fchmodat", "chown", "lchown", "fchownat"),
    *("setxattr", "lsetxattr", "utimensat"),
)
"""System calls that change something by its path; `openat` is looked at by its flags."""
OPENS = ("open", "openat", "openat2")
CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)")
PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
WRITING = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND)")
ADDRESS = re.compile(r'sun_path=@?"([^"]*)"|inet_addr\("([^"]*)"\)|inet_pton\(AF_INET6, "([^"]*)"')


def why_no_strace() -> str:
    """Say why nothing can be traced here; empty where it can."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not on this machine"
    done = subprocess.run([strace, "-f", "true"], capture_output=True, check=False)
    return "" if done.returncode == 0 else "strace may not trace here"


@dataclass(frozen=True)
class Trace:
    """The calls of one process, with its threads and children."""

    folder: Path

    @property
    def command(self) -> Sequence[str]:
        """What runs a program so that it is traced, with the process id that the program has without it."""
        self.folder.mkdir()
        wanted = ",".join(("%network", "execve", "execveat", *OPENS, *CHANGES))
        kept = ("-o", str(self.folder / "calls"), "-s", "4096", "-e", f"trace={wanted}")
        return ("strace", "-D", "-ff", "-qq", "-y", "--seccomp-bpf", *kept)

    @cached_property
    def calls(self) -> list[tuple[str, str]]:
        """Name and arguments of every call, whether it succeeded or not."""
        lines = (
            line for path in sorted(self.folder.iterdir()) for line in path.read_text("utf-8", "replace").split("\n")
        )
        return [(found[1], found[2]) for line in lines if (found := CALL.match(line))]

    def addresses(self) -> set[str]:
        """Where it listened, connected or sent to: paths of Unix sockets, and IP addresses."""
        named = (found for name, arguments in self.calls if name != "execve" for found in ADDRESS.findall(arguments))
        return {"".join(parts) for parts in named}

    def families(self) -> set[str]:
        """The kinds of sockets that it made."""
        return {arguments.split(",")[0] for name, arguments in self.calls if name in ("socket", "socketpair")}

    def commands(self) -> list[str]:
        """The programs that it ran, the process itself left out."""
        return [PATH.findall(arguments)[0][1] for name, arguments in self.calls if name.startswith("execve")][1:]

    def opened(self) -> set[Path]:
        """What it opened, for reading or writing."""
        return {path for name, arguments in self.calls if name in OPENS for path in _paths(arguments)}

    def changed(self) -> set[Path]:
        """What it opened for writing, or made, moved, removed or set the mode of."""
        return {
            path
            for name, arguments in self.calls
            if name in CHANGES or (name in OPENS and WRITING.search(arguments))
            for path in _paths(arguments)
        }


def _paths(arguments: str) -> Iterator[Path]:
    for folder, path in PATH.findall(arguments):
        yield Path(os.path.normpath(Path(folder or "/", path)))
