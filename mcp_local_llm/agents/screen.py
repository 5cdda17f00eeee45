"""Keeps this process's log off the screen of an agent that draws on the same terminal."""

import logging
import sys
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager

MAX_RECORDS = 200
"""The latest records that are shown after the agent's end."""


class _KeptRecords(logging.Handler):
    """Keeps the latest records that one of the usual handlers would write."""

    def __init__(self, usual: Sequence[logging.Handler]) -> None:
        super().__init__()
        self._usual = usual
        self.records = deque[logging.LogRecord](maxlen=MAX_RECORDS)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        if any(record.levelno >= handler.level and handler.filter(record) for handler in self._usual):
            self.records.append(record)


@contextmanager
def log_held_back() -> Generator[None]:
    """Hold the log back while the block runs, where stderr is a terminal; it is written afterwards."""
    if not sys.stderr.isatty():
        yield
        return
    root = logging.getLogger()
    usual = root.handlers[:]
    kept = _KeptRecords(usual)
    root.handlers[:] = [kept]
    try:
        yield
    finally:
        root.handlers[:] = usual
        for record in kept.records:
            root.handle(record)
