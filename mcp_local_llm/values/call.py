"""The call that the present task works on: one id from the door to the engine, in every process. No I/O.

A door begins a call; tasks and worker threads that it starts inherit it. The id travels over the socket between
sessions, and with a request to the engine's own thread, which inherits nothing.
"""

import re
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

_ID = re.compile(r"[0-9a-fA-F][0-9a-fA-F-]{6,34}[0-9a-fA-F]")
"""Digits of a random number, a UUID among them: an id of this form from outside cannot carry text into a log."""
MAX_DOOR = 40
"""Characters of a door's name."""


def new_id() -> str:
    """Return a new id: eight hexadecimal digits, short enough to be read out."""
    return secrets.token_hex(4)


@dataclass
class Call:
    """One call.

    Attributes:
        id: of the call, the same in every process that works on it.
        door: where it came in, such as `mcp chat`, `http POST /v1/messages` or `cli use`.
        outcome: how it ended where it did not fail.
        error: why it failed; set by the door.
    """

    door: str = ""
    id: str = field(default_factory=new_id)
    outcome: str = "answered"
    error: BaseException | None = None


_CURRENT: ContextVar[Call | None] = ContextVar("call", default=None)


def current_call() -> Call | None:
    """Return the call that the present task works on; None outside of any."""
    return _CURRENT.get()


def mark_failed(error: BaseException) -> None:
    """Note on the present call that it failed, where a door answers with the error instead of raising it."""
    call = _CURRENT.get()
    if call is not None:
        call.error = error


def current_id() -> str:
    """Return the id of the present call, or a new one outside of any."""
    call = _CURRENT.get()
    return call.id if call else new_id()


def known_id(text: object) -> str:
    """Return an id that came from outside, or a new one where it has another form."""
    return text if isinstance(text, str) and _ID.fullmatch(text) else new_id()


@contextmanager
def working_on(call: Call) -> Generator[Call]:
    """Make `call` the present one while the block runs."""
    token = _CURRENT.set(call)
    try:
        yield call
    finally:
        _CURRENT.reset(token)
