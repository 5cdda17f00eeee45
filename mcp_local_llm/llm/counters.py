"""Counts the calls and tokens of this process since its start."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from mcp_local_llm.values.chat import ChatResult
from mcp_local_llm.values.errors import LocalLLMError
from mcp_local_llm.values.results import Counts, rate_of


class CallCounters:
    """The counters of this process's calls."""

    def __init__(self) -> None:
        self._counts = Counts()

    def counts(self) -> Counts:
        """Return the present counts."""
        return self._counts

    @contextmanager
    def call(self) -> Generator[None]:
        """Count a call for the length of the block; a call whose block raises an error has failed."""
        now = self._counts
        self._counts = replace(now, asked=now.asked + 1, open=now.open + 1)
        try:
            yield
        except LocalLLMError:
            self._counts = replace(self._counts, failed=self._counts.failed + 1)
            raise
        finally:
            self._counts = replace(self._counts, open=self._counts.open - 1)

    def collect_result(self, result: ChatResult) -> None:
        """Count an answer and its tokens."""
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
