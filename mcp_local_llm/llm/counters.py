"""What was asked and answered since the start, as numbers that only grow (and two that tell how things are now)."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from mcp_local_llm.values.chat import ChatResult
from mcp_local_llm.values.errors import LocalLLMError


@dataclass(frozen=True)
class Counts:
    """A look at the numbers.

    Attributes:
        asked: calls that came in; `answered` and `failed` ended, a cancelled one is neither.
        open: calls that wait, load or are answered at this moment.
        prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens: of the answered calls, as in `Usage`.
        loads: times that a model was loaded, and `load_s`, the seconds it took altogether.
        tokens_per_second: decode speed of the last answer.
    """

    asked: int = 0
    answered: int = 0
    failed: int = 0
    open: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    loads: int = 0
    load_s: float = 0.0
    tokens_per_second: float | None = None


class Tally:
    """Counts."""

    def __init__(self) -> None:
        self._counts = Counts()

    def counts(self) -> Counts:
        """Return the numbers as they are now."""
        return self._counts

    @contextmanager
    def call(self) -> Generator[None]:
        """Count a call that lasts as long as the block; an error that leaves it is a failure."""
        now = self._counts
        self._counts = replace(now, asked=now.asked + 1, open=now.open + 1)
        try:
            yield
        except LocalLLMError:
            self._counts = replace(self._counts, failed=self._counts.failed + 1)
            raise
        finally:
            self._counts = replace(self._counts, open=self._counts.open - 1)

    def answered(self, result: ChatResult) -> None:
        """Count an answer."""
        now, usage = self._counts, result.usage
        self._counts = replace(
            now,
            answered=now.answered + 1,
            prompt_tokens=now.prompt_tokens + usage.prompt_tokens,
            cached_tokens=now.cached_tokens + usage.cached_tokens,
            completion_tokens=now.completion_tokens + usage.completion_tokens,
            reasoning_tokens=now.reasoning_tokens + usage.reasoning_tokens,
            tokens_per_second=rate_of(result) or now.tokens_per_second,
        )


def rate_of(result: ChatResult) -> float | None:
    """Decode speed of an answer in tokens per second; the first token belongs to the prefill."""
    tokens, seconds = result.usage.completion_tokens - 1, result.timings.decode_s
    return round(tokens / seconds, 2) if tokens > 0 and seconds > 0 else None
