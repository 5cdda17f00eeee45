"""The log file: lines of several processes in one file, which is replaced when it is full. It must not know a line.

A thread of its own writes, so a disk that hangs stops nothing else. Whatever is in the way of the file (a full disk, a
folder, a FIFO, missing rights) loses lines, fails no call, and is told once; the lines are written again when it has
gone, with the number of those that are missing.

Nothing is lost between processes: each holds a shared lock while it writes into the file that has the name now, and
only who holds the exclusive lock may give the name to a new file.
"""

import fcntl
import logging
import os
import queue
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mcp_local_llm.setup.regular_file import open_regular

LOG_NAME = "mcp-local-llm.log"
OLDER = ".1"
"""Ending of the file before the present one; together they are as large as the setting allows."""
MAX_WAITING = 10_000
"""Lines that wait for the disk; further ones are lost, and counted."""
TAIL_LINES, TAIL_BYTES = 200, 400
"""Lines of a tail, and the bytes that are read for each of them; a usual line has 120."""
LOCK_TRIES = 100
LOCK_WAIT_S = 0.01
"""A process that was stopped while it replaced the file keeps the others waiting for no longer than a second."""

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY

_Line = bytes | threading.Event | None
"""A line, an event to set once the lines before it are written, or the end."""

_TROUBLE = logging.getLogger("mcp-local-llm")
"""No logger of this package, so that what is told of the file is not written into it."""


class LogFile(logging.Handler):
    """Writes the records of this process into the file at `path`, from a thread of its own."""

    def __init__(self, path: Path, max_bytes: int, line: Callable[[logging.LogRecord], str]) -> None:
        """Prepare to write; nothing is opened before the first record.

        Args:
            path: of the file; its folder is made where it is missing.
            max_bytes: of the file and the one before it together.
            line: writes a record as one line; called where the record was made.
        """
        super().__init__()
        self.path = path
        self._max_bytes = max_bytes
        self._line = line
        self._waiting: queue.SimpleQueue[_Line] = queue.SimpleQueue()
        self._file = _AppendedFile(path, max_bytes // 2)
        self._thread: threading.Thread | None = None
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record over; never waits for the disk."""
        if self._waiting.qsize() >= MAX_WAITING:
            self._dropped += 1
            return
        try:
            line = self._line(record)
        except Exception:
            # The edge of logging: a message with a wrong argument must not fail what is logged.
            self.handleError(record)
            return
        self._waiting.put(line.encode(errors="replace") + b"\n")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log file", daemon=True)
            self._thread.start()

    def flush_within(self, seconds: float) -> None:
        """Wait until every line so far is written, for at most `seconds`."""
        if self._thread is not None:
            written = threading.Event()
            self._waiting.put(written)
            written.wait(seconds)

    def close(self) -> None:
        """End the thread, once it has written the lines so far."""
        self._waiting.put(None)
        super().close()

    def _run(self) -> None:
        ended = False
        while not ended:
            items = [self._waiting.get(), *self._taken()]
            lines = [item for item in items if isinstance(item, bytes)]
            if lines:
                dropped, self._dropped = self._dropped, 0
                self._file.write(lines, dropped)
            for item in items:
                ended = ended or item is None
                if isinstance(item, threading.Event):
                    item.set()
        self._file.close()

    def _taken(self) -> list[_Line]:
        """Return the lines that wait, without waiting for more."""
        return [self._waiting.get() for _ in range(self._waiting.qsize())]


class _AppendedFile:
    """The file that has the name `path` now."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._handle: int | None = None
        self._lost = 0
        self._fault = ""
        self._torn = False

    def write(self, lines: list[bytes], dropped: int) -> None:
        """Append lines; those that cannot be written are counted, with the `dropped` ones before them."""
        self._lost += dropped
        written = 0
        try:
            if self._lost:
                reason = self._fault or "they came faster than the disk wrote"
                self._append(f"({self._lost} lines are missing here: {reason})\n".encode())
                self._lost = 0
            for line in lines:
                self._append(line)
                written += 1
            self._fault = ""
        except OSError as error:
            self._lost += len(lines) - written
            self.close()
            self._tell(_reason(error))

    def _append(self, line: bytes) -> None:
        """Write one line into the file that has the name while it is written.

        Raises:
            OSError: it cannot be written; half of it may have been.
        """
        while True:
            handle = self._handle if self._handle is not None else self._open()
            if self._replaced(handle, len(line)):
                continue
            locked = _locked(handle, fcntl.LOCK_SH)
            try:
                if not self._has_name(handle):
                    self.close()
                    continue
                self._put(handle, line)
                return
            finally:
                if locked and self._handle is not None:
                    fcntl.flock(handle, fcntl.LOCK_UN)

    def _put(self, handle: int, line: bytes) -> None:
        left = b"\n" + line if self._torn else line
        while left:
            count = os.write(handle, left)
            left = left[count:]
            # Where the disk gets full in the middle of a line, the next one begins on a line of its own.
            self._torn = bool(left)

    def _open(self) -> int:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # O_NONBLOCK: opening a FIFO must not wait for a reader. O_NOFOLLOW: lines go into no other file.
        handle = os.open(self._path, _FLAGS, 0o600)
        try:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                raise OSError(0, "it is not a regular file")
            if facts.st_uid != os.geteuid():
                raise OSError(0, "it belongs to another user")
            if facts.st_mode & 0o077:
                os.fchmod(handle, 0o600)
        except OSError:
            os.close(handle)
            raise
        self._handle = handle
        return handle

    def _replaced(self, handle: int, more: int) -> bool:
        """Give the name to a new file where this one is full; return whether that was done."""
        size = os.fstat(handle).st_size
        if not size or size + more <= self._max_bytes:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False  # Another process writes into it, or replaces it.
        try:
            if self._has_name(handle):
                self._path.replace(f"{self._path}{OLDER}")
        finally:
            self.close()
        return True

    def _has_name(self, handle: int) -> bool:
        with suppress(FileNotFoundError):
            return os.path.samestat(os.stat(self._path, follow_symlinks=False), os.fstat(handle))
        return False

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        if self._handle is not None:
            with suppress(OSError):
                os.close(self._handle)
            self._handle = None

    def _tell(self, reason: str) -> None:
        """Tell a fault, once for as long as it lasts."""
        if reason != self._fault:
            self._fault = reason
            _TROUBLE.warning(
                "The log file %s cannot be written: %s. Calls are answered without it.", self._path, reason
            )


def _locked(handle: int, kind: int) -> bool:
    """Take a lock; return whether it was had within a second."""
    for _ in range(LOCK_TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            return True
        time.sleep(LOCK_WAIT_S)
    return False


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def log_tail(path: Path) -> list[str]:
    """Return the last lines of the log file, those of the one before it included; none where it cannot be read."""
    found: list[str] = []
    for file in (path, path.with_name(f"{path.name}{OLDER}")):
        with suppress(OSError), open_regular(file) as log:
            log.seek(max(os.fstat(log.fileno()).st_size - TAIL_LINES * TAIL_BYTES, 0))
            found = [*log.read().decode(errors="replace").splitlines(), *found]
        if len(found) >= TAIL_LINES:
            break
    return found[-TAIL_LINES:]


def file_fault(path: Path) -> str:
    """Return why the log file cannot be written, for the check-up; empty where it can, or is not there yet."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        folder = next((parent for parent in path.parents if parent.exists()), path.parent)
        return "" if os.access(folder, os.W_OK | os.X_OK) else f"{folder} cannot be written"
    except OSError as error:
        return _reason(error)
    if not stat.S_ISREG(facts.st_mode):
        return "it is not a regular file"
    return "" if os.access(path, os.W_OK) else "it cannot be written"
