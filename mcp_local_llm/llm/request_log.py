"""Writes one log line for each request, at level INFO: model, tokens and seconds, never the text of a prompt.

It must not know the door of a request.
"""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from mcp_local_llm.values.chat import ChatResult

log = logging.getLogger(__name__)


@dataclass
class RequestLine:
    """The facts of one request for its log line.

    Attributes:
        model: id of the model that answers; empty until it is resolved.
    """

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
        log.info("%s, %s%.2f s, %s", model, tokens, clock() - started, outcome)
