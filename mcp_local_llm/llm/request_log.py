"""Writes one log line for each request, at level INFO: model, tokens and seconds, never the text of a prompt.

It must not know the door of a request.
"""

import logging
import secrets
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mcp_local_llm.values.chat import ChatResult

PACKAGE = "mcp_local_llm"

log = logging.getLogger(__name__)


@dataclass
class RequestLine:
    """The facts of one request for its log line.

    Attributes:
        id: eight hexadecimal digits.
        model: id of the model that answers; empty until it is resolved.
    """

    id: str = field(default_factory=lambda: secrets.token_hex(4))
    model: str = ""
    result: ChatResult | None = None


@contextmanager
def request_line(clock: Callable[[], float] = time.monotonic) -> Generator[RequestLine]:
    """Write one line when the block ends, also with an error; the block sets model and result."""
    line, started = RequestLine(), clock()
    outcome = "ended"
    try:
        yield line
    except BaseException as error:
        # The message of an error may quote the request; its class does not.
        outcome = f"failed: {type(error).__name__}" if isinstance(error, Exception) else "cancelled"
        raise
    finally:
        tokens = ""
        if line.result is not None:
            usage, outcome = line.result.usage, line.result.finish_reason
            tokens = f"{usage.prompt_tokens} + {usage.completion_tokens} tokens, "
        model = line.model or "no model"
        log.info("request %s: %s, %s%.2f s, %s", line.id, model, tokens, clock() - started, outcome)


def set_log_level(level: str) -> None:
    """Set the level of this package's messages, not of libraries' messages, which may contain prompts."""
    logging.getLogger(PACKAGE).setLevel(level)
