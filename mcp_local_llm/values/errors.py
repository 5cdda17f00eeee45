"""The error classes, as one tree.

LocalLLMError
├── ConfigError                 a file, its key and the allowed values
├── InvalidRequestError         shape or range of a request
├── FileAccessError             a file may not be read or written: outside the roots, a secret, binary, too large
├── ModelError
│   ├── UnknownModelError       no such model; the nearest names
│   ├── AmbiguousModelError     several; the numbered candidates
│   ├── IncompleteModelError    partial download, missing file, a format this engine cannot run
│   ├── InsufficientMemoryError needed and available bytes, the limit, a model that would fit
│   ├── DownloadError           the hub forbids it, the disk is full, a file arrived damaged
│   └── ModelLoadError          the engine refused the model's files
├── BackendError
│   ├── BackendUnavailableError connect, timeout, died
│   │   └── HolderGoneError     the lease owner is shutting down or has ended; the request was not begun
│   └── BackendProtocolError    status, malformed stream
├── ContextLengthError          prompt + max_tokens against the window, in tokens
├── BusyError                   the queue is full
└── GenerationError             the engine failed in the middle of an answer

A message says what happened, then what to do. Each adapter translates a library's exceptions into this tree in one
place, and each door translates the tree in one place. `status` is the status of an HTTP answer.
"""

from collections.abc import Sequence
from typing import ClassVar


class LocalLLMError(Exception):
    """A failure that the caller can act on; the message is written for the caller."""

    status: ClassVar[int] = 500
    told_by_server: bool = False
    """Whether the message is that of another server, which may repeat what a caller sent."""


class ConfigError(LocalLLMError):
    """A settings file or variable holds a value that is not allowed."""


class InvalidRequestError(LocalLLMError):
    """The request's shape or a value's range is wrong."""

    status = 400


class FileAccessError(LocalLLMError):
    """A file may not be read or written; `kind` is the reason as one word, such as `secret`."""

    status = 403

    def __init__(self, message: str, kind: str = "refused") -> None:
        super().__init__(message)
        self.kind = kind


class ModelError(LocalLLMError):
    """The requested model cannot be used."""


class UnknownModelError(ModelError):
    """No model has this name."""

    status = 404


class AmbiguousModelError(ModelError):
    """Several models match; the message numbers them, and `candidates` holds their ids."""

    status = 400

    def __init__(self, message: str, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.candidates = candidates


class IncompleteModelError(ModelError):
    """The model's folder lacks a file that is needed to run it."""

    status = 409


class InsufficientMemoryError(ModelError):
    """The model does not fit into the memory that is free for it."""

    status = 507


class DownloadError(ModelError):
    """The model cannot be downloaded: access, disk space, or a file with a wrong hash."""

    status = 502


class ModelLoadError(ModelError):
    """The engine could not load the model."""


class BackendError(LocalLLMError):
    """A server that answers for a model failed."""


class BackendUnavailableError(BackendError):
    """The server cannot be reached, is too slow or has died."""

    status = 503


class HolderGoneError(BackendUnavailableError):
    """The lease owner is shutting down or has ended, and has not begun the request; the next owner can execute it.

    Only the two ends of the socket between sessions raise it, never an endpoint. `leaving` says that the owner still
    runs and finishes the requests that it has begun.
    """

    def __init__(self, message: str, *, leaving: bool = False) -> None:
        super().__init__(message)
        self.leaving = leaving


class BackendProtocolError(BackendError):
    """The server's answer does not follow the protocol."""

    status = 502


class ContextLengthError(LocalLLMError):
    """Prompt and answer do not fit into the context window together.

    Attributes:
        prompt_tokens: of the prompt, or the least that it has; None where it is not known.
        window: longest prompt and answer together in tokens; None where it is not known.
    """

    status = 400

    def __init__(self, message: str, prompt_tokens: int | None = None, window: int | None = None) -> None:
        super().__init__(message)
        self.prompt_tokens = prompt_tokens
        self.window = window


class BusyError(LocalLLMError):
    """The queue is full, or calls use what should go."""

    status = 429


class GenerationError(LocalLLMError):
    """The engine failed while it was answering."""


MAX_ECHO = 100
"""Characters of a caller's own input that a message repeats."""


def shortened(text: str, most: int = MAX_ECHO) -> str:
    """Return the beginning of an input, for a message that repeats it."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def first_of(names: Sequence[str], most: int) -> str:
    """Return the first names for a message, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


MAX_REASON = 400
"""Characters of a library's error that a message repeats."""


def reason_of(error: BaseException) -> str:
    """Return a library's error on one line, with its type: the first line alone is often a heading."""
    text = shortened(" ".join(str(error).split()), MAX_REASON)
    return f"{text} ({type(error).__name__})" if text else type(error).__name__


def release_frames(error: BaseException) -> None:
    """Let go of the frames that an error came through, and so of the texts in them; for errors that are answered.

    Frames and errors hold each other, as where a future holds the error that its waiter raised. Nothing but a full run
    of the garbage collector frees them, and that waits for a number of objects, not of bytes: 120 refused messages of
    5 MB held 0.8 GB.
    """
    errors = [error]
    while errors:
        one = errors.pop()
        # One without frames was here before, or has none to let go of.
        errors += [other for other in (one.__cause__, one.__context__) if other is not None and other.__traceback__]
        one.__traceback__ = None


_OF_THE_MACHINE = (IncompleteModelError, InsufficientMemoryError, ModelLoadError)
"""Errors whose messages tell of models and memory alone; all others may repeat what a caller sent."""


def sentence_for_log(error: BaseException) -> str:
    """Return one sentence on an error, without anything that a caller or a model said."""
    if isinstance(error, _OF_THE_MACHINE) and not error.told_by_server:
        return shortened(" ".join(str(error).split()), MAX_REASON)
    if isinstance(error, LocalLLMError):
        return " ".join((type(error).__doc__ or "").partition("\n\n")[0].split())
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"It was not foreseen ({type(error).__name__})."
