"""What can be wrong with a file: each kind puts itself in the place of one. And a user whom permissions bind."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

Put = Callable[[Path], None]
HUGE = 2 * 2**30


def missing(path: Path) -> None:
    """No file."""


def empty(path: Path) -> None:
    path.touch()


def folder(path: Path) -> None:
    path.mkdir()
    (path / "kept").write_text("kept")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 16)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(HUGE)


def closed(path: Path) -> None:
    path.write_text("closed")
    path.chmod(0)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def nested(path: Path) -> None:
    path.write_text("[" * 100_000)


KINDS: dict[str, Put] = {
    "missing": missing,
    "empty": empty,
    "a folder": folder,
    "a FIFO": fifo,
    "binary": binary,
    "2 GB long": huge,
    "of mode 000": closed,
    "a link to itself": loop,
    "a dangling link": dangling,
    "a link to a device": device,
    "JSON of 100,000 levels": nested,
}


def put(path: Path, kind: str) -> Path:
    """Put this kind in the place of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    KINDS[kind](path)
    return path


def fingerprint(path: Path) -> object:
    """What is there: two equal ones mean that nobody changed it."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return None
    there = sorted(entry.name for entry in path.iterdir()) if path.is_dir() and not path.is_symlink() else []
    return facts.st_ino, facts.st_mode, facts.st_size, facts.st_mtime_ns, there


def bound_user(*command: str) -> Sequence[str]:
    """The command as a user whom the modes of files bind, which they do not bind root."""
    if os.geteuid() != 0:
        return command
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("tests run as root, whom no mode binds, and setpriv is not here to drop that right")
    return (setpriv, "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", "--", *command)


def server() -> Sequence[str]:
    """The stdio server as such a user."""
    return bound_user(sys.executable, "-m", "mcp_local_llm")
