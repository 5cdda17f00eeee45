"""A name that is exchanged while it is read shows nothing of what was put into its place."""

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mcp_local_llm.values.errors import FileAccessError
from tests.files.reading.project import PLANTED, Project

SWAPS = 600
RENAME_EXCHANGE, AT_FDCWD = 2, -100

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's")


@contextmanager
def swapping(one: Path, other: Path) -> Generator[Callable[[], int]]:
    """Exchange two names again and again on a thread; the function returns how often that was done."""
    library = ctypes.CDLL(None, use_errno=True)
    done, stop = [0], threading.Event()
    names = os.fsencode(one), os.fsencode(other)

    def swap() -> None:
        while not stop.is_set():
            assert library.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0
            done[0] += 1

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield lambda: done[0]
    finally:
        stop.set()
        thread.join(10)


def link_to_a_secret(project: Project) -> tuple[Path, Path]:
    return project.write("notes.txt", "fine\n"), project.link("other", "../outside.txt")


def link_to_a_secret_inside(project: Project) -> tuple[Path, Path]:
    return project.write("notes.txt", "fine\n"), project.link("other", ".env")


def folder_above(project: Project) -> tuple[Path, Path]:
    secret = project.beside / "elsewhere" / "notes.txt"
    secret.parent.mkdir()
    secret.write_text(PLANTED)
    project.write("docs/notes.txt", "fine\n")
    return project.folder / "docs", project.link("other", "../elsewhere")


CASES = [
    (link_to_a_secret, "notes.txt"),
    (link_to_a_secret_inside, "notes.txt"),
    (folder_above, "docs/notes.txt"),
    (folder_above, "docs/*.txt"),
]


@pytest.mark.fault(
    "What a model or an agent cannot do",
    "a name, or a folder above it, that is exchanged for a link to a secret while it is read",
    promised="the file that was meant is read, or nothing",
)
@pytest.mark.parametrize(("prepare", "name"), CASES)
def test_a_name_that_is_swapped_during_the_reading_shows_no_secret(
    project: Project, prepare: Callable[[Project], tuple[Path, Path]], name: str, record_property: Any
) -> None:
    reader = project.reader
    read = refused = tries = 0
    with swapping(*prepare(project)) as swaps:
        while swaps() < SWAPS or tries < SWAPS:
            tries += 1
            try:
                shown = "".join(one.text for one in reader.read(name).texts)
                read += 1
            except FileAccessError as error:
                shown = str(error)
                refused += 1
            assert PLANTED not in shown
            assert shown.count("\n") == (shown == "fine\n")
    record_property("tries", tries)
    assert read + refused == tries
    assert read > 0
