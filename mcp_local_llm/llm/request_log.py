"""One log line for each request, at level INFO: who answered, how much and how long. Never the text of a prompt.

Must not know which door a request came through.
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
    """What is known of a request so far; written when it ends.

    Attributes:
        id: eight hexadecimal digits, to find the lines of one request.
        model: id of the model that answers; empty until it is found.
    """

    id: str = field(default_factory=lambda: secrets.token_hex(4))
    model: str = ""
    result: ChatResult | None = None


@contextmanager
def request_line(clock: Callable[[], float] = time.monotonic) -> Generator[RequestLine]:
    """Write one line when the block ends, however it ends; the block fills in model and result."""
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
    """Write this package's messages from `level` on; those of libraries stay as they are, since they may hold prompts.

    Args:
        level: as the setting `log_level` says it.
    """
    logging.getLogger(PACKAGE).setLevel(level)
