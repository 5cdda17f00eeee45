"""The log file as a file: several writers, its bound, and whatever stands in its way."""

import logging
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from mcp_local_llm.setup.log_file import LOG_NAME, LogFile, file_fault
from tests.clients import WAIT_S

WRITER = """
import logging, sys
from pathlib import Path
from mcp_local_llm.setup.log_file import LogFile
path, size, name, count = sys.argv[1:]
file = LogFile(Path(path), int(size), lambda record: record.getMessage())
log = logging.getLogger("writer")
log.addHandler(file)
for number in range(int(count)):
    log.warning("%s %s %s", name, number, "x" * 80)
    if number % 10 == 0:
        file.flush_within(60)
file.flush_within(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / LOG_NAME


@pytest.fixture
def log(path: Path) -> Iterator[Callable[[str], None]]:
    """Writes a line and waits until that was tried."""
    file = LogFile(path, 20_000, lambda record: record.getMessage())
    logger = logging.Logger("file")
    logger.addHandler(file)

    def write(text: str) -> None:
        logger.warning("%s", text)
        file.flush_within(WAIT_S)

    yield write
    file.close()


def test_the_file_is_for_this_user_alone_whatever_it_was_before(path: Path, log: Callable[[str], None]) -> None:
    path.parent.mkdir()
    path.write_text("earlier\n")
    path.chmod(0o644)
    log("one")
    assert path.read_text() == "earlier\none\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_full_file_becomes_the_one_before_it_and_the_two_stay_within_the_bound(
    path: Path, log: Callable[[str], None]
) -> None:
    for number in range(400):
        log(f"{number:099}")
    older = path.with_name(f"{LOG_NAME}.1")
    assert 10_000 <= path.stat().st_size + older.stat().st_size <= 20_000
    kept = [int(line) for file in (older, path) for line in file.read_text().split()]
    assert kept == list(range(kept[0], 400))
    assert stat.S_IMODE(older.stat().st_mode) == 0o600
    assert len(list(path.parent.iterdir())) == 2


@pytest.mark.fault(
    "Logs", "Four processes write while the log file is full and gets replaced", "every line is there once", tries=5
)
def test_several_processes_lose_no_line_while_the_file_is_replaced(path: Path, attempt: int) -> None:
    writers, count = 4, 400
    # Together they fill the file once, so that the one before it holds the rest.
    size = 2 * int(writers * count * 90 * 0.6)
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(size), f"w{number}", str(count)])
        for number in range(writers)
    ]
    assert [process.wait(WAIT_S) for process in processes] == [0] * writers
    older = path.with_name(f"{LOG_NAME}.1")
    lines = (older.read_text() + path.read_text()).splitlines()
    expected = {f"w{number} {line} {'x' * 80}" for number in range(writers) for line in range(count)}
    assert len(lines) == len(expected)
    assert set(lines) == expected


def test_a_file_that_somebody_removed_is_written_anew(path: Path, log: Callable[[str], None]) -> None:
    log("one")
    path.unlink()
    log("two")
    assert path.read_text() == "two\n"


def folder(path: Path) -> None:
    path.mkdir(parents=True)


def fifo(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)


def link(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(path)


def file_as_folder(path: Path) -> None:
    path.parent.write_text("")


BLOCKS: Mapping[str, Callable[[Path], None]] = {
    "a folder": folder,
    "a FIFO": fifo,
    "a link to itself": link,
    "a file in the place of its folder": file_as_folder,
}


@pytest.mark.fault(
    "Logs",
    "{what} is in the place of the log file",
    "calls are answered, the fault is told once, and when it has gone the log says how many lines are missing",
)
@pytest.mark.parametrize("what", BLOCKS)
def test_what_stands_in_its_way_is_told_once_and_the_lines_are_counted_until_it_has_gone(
    path: Path, log: Callable[[str], None], what: str, caplog: pytest.LogCaptureFixture, attempt: int
) -> None:
    BLOCKS[what](path)
    log("one")
    log("two")
    assert [record.getMessage() for record in caplog.records if str(path) in record.getMessage()] == [
        record.getMessage() for record in caplog.records
    ]
    assert len(caplog.records) == 1
    assert "cannot be written: " in caplog.text
    assert file_fault(path)
    blocked = path.parent if path.parent.is_file() else path
    blocked.rmdir() if blocked.is_dir() else blocked.unlink()
    log("three")
    first, second = path.read_text().splitlines()
    assert first.startswith("(2 lines are missing here: ")
    assert second == "three"
    assert file_fault(path) == ""


@pytest.mark.fault(
    "Logs",
    "The disk is full in the middle of a line of the log",
    "later lines stand on lines of their own, and the log says how many are missing",
)
def test_a_full_disk_loses_lines_and_the_next_one_after_half_a_line_stands_on_its_own(
    path: Path, log: Callable[[str], None], caplog: pytest.LogCaptureFixture, attempt: int
) -> None:
    log("a" * 49)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (70, before[1]))
    try:
        log("b" * 49)
        log("c" * 49)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "File too large" in caplog.text
    log("d" * 49)
    assert path.read_text().splitlines() == [
        "a" * 49,
        "b" * 20,
        "(2 lines are missing here: File too large)",
        "d" * 49,
    ]


def test_a_line_that_cannot_be_made_fails_nothing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(record: logging.LogRecord) -> str:
        raise ValueError("broken")

    file = LogFile(path, 20_000, broken)
    logger = logging.Logger("file")
    logger.addHandler(file)
    logger.warning("one")
    file.flush_within(WAIT_S)
    assert not path.exists()
    assert "ValueError" in capsys.readouterr().err
