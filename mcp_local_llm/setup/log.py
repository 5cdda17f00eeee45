"""What this process logs and where: stderr, the log file, and the last failures; one line for the end of each call.

Neither the log file nor a failure holds what a caller or a model said: of an exception only its class is written, and
the frames it came through. It must not know doors or verbs.
"""

import logging
import re
import time
import traceback
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from mcp_local_llm.setup.log_file import LOG_NAME, LogFile
from mcp_local_llm.setup.private_words import PrivateWords
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.values.call import Call, current_call, working_on
from mcp_local_llm.values.errors import HolderGoneError, LocalLLMError, release_frames, sentence_for_log
from mcp_local_llm.values.results import Failure
from mcp_local_llm.values.visible_text import printable

PACKAGE = "mcp_local_llm"
MAX_FAILURES = 10
MAX_LINE = 4000
"""Characters of a line in the log file."""
MAX_FRAMES = 12
"""Frames of an exception in it, the innermost ones."""
FLUSH_S = 0.5
"""Seconds that the end of the process waits for the log file."""

_MLX_MESSAGE = re.compile(r"\[[A-Za-z_:]+\] [ -~]{1,200}")
"""A message of MLX: it tells of shapes and memory, never of text."""

log = logging.getLogger(f"{PACKAGE}.calls")


def log_to_stderr() -> None:
    """Write warnings to stderr, before the settings are read: stdout is for protocols and results."""
    logging.getLogger().addHandler(_Stderr())


def open_log(settings: Settings, state: Path, words: PrivateWords) -> None:
    """Log as the settings say, in place of what an earlier call has opened.

    Args:
        settings: level and size.
        state: the folder of the log file.
        words: what must not stand in the file.
    """
    package, level = logging.getLogger(PACKAGE), logging.getLevelNamesMapping()[settings.log_level]
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Stderr):
            handler.package_level = level
    close_log()
    # Failures are kept at INFO.
    levels = [level, logging.INFO]
    if settings.log_file_mb:
        file = LogFile(state / LOG_NAME, int(settings.log_file_mb * 2**20), lambda record: file_line(record, words))
        file.setLevel(settings.log_file_level)
        file.addFilter(lambda record: not getattr(record, "private", False))
        levels.append(file.level)
        package.addHandler(file)
    package.setLevel(min(levels))
    _last_failures()


def close_log() -> None:
    """Close the log file, and forget the failures."""
    package = logging.getLogger(PACKAGE)
    for handler in [handler for handler in package.handlers if isinstance(handler, LogFile | _LastFailures)]:
        package.removeHandler(handler)
        handler.close()
    package.setLevel(logging.NOTSET)


def flush_log() -> None:
    """Wait a moment for the log file, at the end of the process."""
    for handler in logging.getLogger(PACKAGE).handlers:
        if isinstance(handler, LogFile):
            handler.flush_within(FLUSH_S)


def last_failures() -> tuple[Failure, ...]:
    """Return the last failed calls of this process, oldest first."""
    return tuple(_last_failures().failures)


def joined_failures(others: Iterable[Failure]) -> list[Failure]:
    """Return the last failures of this process and of the lease owner; a call that failed in both is told once."""
    own = last_failures()
    known = {failure.request for failure in own}
    both = [*own, *(failure for failure in others if failure.request not in known)]
    return sorted(both, key=lambda failure: failure.time)[-MAX_FAILURES:]


@contextmanager
def logged_call(call: Call, level: int = logging.INFO) -> Generator[Call]:
    """Make `call` the present one while the block runs, then log how it ended: a failure is kept as well.

    A `call.error` that the block sets counts as raised. What is raised is raised on, without the frames up to here.

    Args:
        call: the call.
        level: of the line of a call that did not fail.
    """
    started = time.monotonic()
    with working_on(call):
        try:
            yield call
        except Exception as error:
            # Kept for the line, and raised on.
            call.error = call.error or error
            raise
        except BaseException:
            log.log(level, "%s: cancelled, %.2f s", call.door, time.monotonic() - started)
            raise
        finally:
            failed, call.error = call.error, None
            if failed is not None:
                _log_failure(call, failed, time.monotonic() - started)
                release_frames(failed)
        if failed is None:
            log.log(level, "%s: %s, %.2f s", call.door, call.outcome, time.monotonic() - started)


def _log_failure(call: Call, error: BaseException, seconds: float) -> None:
    sentence = sentence_for_log(error)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    failure = Failure(time=now, request=call.id, door=call.door, error=type(error).__name__, sentence=sentence)
    extra: dict[str, object] = {"trace": None if isinstance(error, LocalLLMError) else error}
    if not isinstance(error, HolderGoneError):  # Nothing was begun, and the session tries again.
        extra["failure"] = failure
    log.info("%s: failed after %.2f s: %s: %s", call.door, seconds, failure.error, sentence, extra=extra)


class _LastFailures(logging.Handler):
    """Keeps the failures of the last failed calls."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = deque[Failure](maxlen=MAX_FAILURES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the failure that a record carries."""
        failure = getattr(record, "failure", None)
        if isinstance(failure, Failure):
            self.failures.append(failure)


def _last_failures() -> _LastFailures:
    """Return the handler that keeps them; logging itself holds it, for the whole process."""
    package = logging.getLogger(PACKAGE)
    for handler in package.handlers:
        if isinstance(handler, _LastFailures):
            return handler
    package.addHandler(kept := _LastFailures())
    return kept


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to stderr, with the id of the call in front of the message."""

    def __init__(self) -> None:
        super().__init__()
        self.package_level = logging.WARNING
        self.setFormatter(logging.Formatter("mcp-local-llm: %(levelname)s: %(call_prefix)s%(message)s"))

    def filter(self, record: logging.LogRecord) -> bool:
        """Leave out messages of this package below its level; libraries keep to the root logger's."""
        return record.levelno >= self.package_level or not record.name.startswith(PACKAGE)

    def format(self, record: logging.LogRecord) -> str:
        """Write the record; its exception follows on a line of its own, or at DEBUG with its whole traceback."""
        shown, ident = copy(record), _id_of(record)
        shown.call_prefix = f"request {ident}: " if ident else ""
        trace = record.exc_info[1] if record.exc_info else None
        if trace is None or self.package_level <= logging.DEBUG:
            return super().format(shown)
        shown.exc_info = shown.exc_text = None
        return f"{super().format(shown)}\n{_came_through(trace)}"


def _id_of(record: logging.LogRecord) -> str:
    """Return the id of the call that a record belongs to; the engine's thread names it, others work on it."""
    call = current_call()
    return getattr(record, "call", "") or (call.id if call else "")


def file_line(record: logging.LogRecord, words: PrivateWords) -> str:
    """Write a record as one line without private words: time, process, level, id of the call, module, message."""
    moment = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    args = record.args
    if isinstance(args, tuple):
        args = tuple(sentence_for_log(one) if isinstance(one, BaseException) else one for one in args)
    message = str(record.msg) % args if args else str(record.msg)
    trace = getattr(record, "trace", None) or (record.exc_info[1] if record.exc_info else None)
    if trace is not None:
        message += f" | {_came_through(trace)}"
    module = record.name.removeprefix(f"{PACKAGE}.")
    plain = printable(words.masked(message))[:MAX_LINE]
    return f"{moment}Z {record.process} {record.levelname} {_id_of(record) or '-'} {module}: {plain}"


def _came_through(error: BaseException) -> str:
    """Return the classes of an exception and its causes, each with its frames; no messages but those of MLX."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(parts) < MAX_FRAMES:
        frames = traceback.extract_tb(cause.__traceback__)[-MAX_FRAMES:]
        places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
        parts.append(f"{type(cause).__name__}{_safe_message(cause)} at {places or '?'}")
        cause = cause.__cause__ or cause.__context__
    return "; from ".join(parts)


def _safe_message(error: BaseException) -> str:
    """Return the message of an exception that no caller's text can be in; else an empty text."""
    if isinstance(error, ImportError):
        return f" {error.msg}"
    if isinstance(error, OSError) and error.strerror:
        return f" {error.strerror}"
    found = _MLX_MESSAGE.match(str(error)) if type(error) is RuntimeError else None
    return f" {found[0]}" if found else ""
