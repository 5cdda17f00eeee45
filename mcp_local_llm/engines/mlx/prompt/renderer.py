"""Prepares prompts on worker threads, which are abandoned when a request is cancelled.

Requests whose prompts are rendered quickly keep their order. A slow one lets later requests overtake it, so that a long
text or a template that loops delays no other request. Counts have a queue of their own: an agent asks for 25 of them at
once, and neither these nor the prompts of answers wait for the others.
"""

# asyncio: a timer that calls back, which anyio has nothing for.
import asyncio
import contextlib
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TypeVar

import anyio
import anyio.to_thread

from mcp_local_llm.engines.mlx.prompt.checkpoints import Checkpoint, checkpoints
from mcp_local_llm.engines.mlx.prompt.render import Prompt, count, render
from mcp_local_llm.engines.mlx.prompt.text_model import TextModel
from mcp_local_llm.values.chat import ChatRequest
from mcp_local_llm.values.errors import InvalidRequestError, LocalLLMError, reason_of

_Prepared = TypeVar("_Prepared")

SLOW_AFTER_S = 0.25
"""Seconds after which a prompt that is still being prepared lets the next one begin."""
MAX_SIDE_BY_SIDE = 8
"""Prompts that are prepared side by side at most; an abandoned one counts until its thread ends."""


@dataclass(frozen=True)
class RenderedPrompt:
    """A prompt and its checkpoints."""

    prompt: Prompt
    checkpoints: tuple[Checkpoint, ...] = ()


class Renderer:
    """Renders and tokenizes for one loaded model; lives on the event loop.

    Args:
        model: the tokenizer and template.
        max_tokens: the longest answer that a request may ask for.
        checkpoints: whether KV caches can be kept only at checkpoints, which must be found.
        longest_s: seconds after which a prompt is given up.
    """

    def __init__(self, model: TextModel, max_tokens: int, *, checkpoints: bool, longest_s: float) -> None:
        self._model = model
        self._max_tokens = max_tokens
        self._checkpoints = checkpoints
        self._longest_s = longest_s
        self._prompts, self._counts = _Lane(), _Lane()

    async def render(self, request: ChatRequest) -> RenderedPrompt:
        """Prepare a prompt; cancelling abandons the thread, which ends at its next check.

        Raises:
            InvalidRequestError, ContextLengthError: see `prompt.render`; `max_tokens` is above the cap; or it takes too
                long.
        """
        asked, cap = request.sampling.max_tokens, self._max_tokens
        if asked is not None and asked > cap and not request.lower_max_tokens:
            raise InvalidRequestError(
                f"max_tokens is {asked:,}, but the setting max_generation_tokens allows {cap:,} for one answer. "
                "Ask for fewer, or raise the setting."
            )
        with self._bounded():
            return await _on_thread(self._prompts, lambda cancelled: self._rendered(request, cancelled))

    async def count(self, item: ChatRequest | str) -> int:
        """Count the prompt tokens of a request, or the tokens of a text; cancelling works as with `render`.

        Raises:
            InvalidRequestError: see `prompt.count`; or it takes too long.
        """

        def prepare(cancelled: threading.Event) -> int:
            return _prepared(lambda: count(item, self._model, cancelled.is_set))

        with self._bounded():
            return await _on_thread(self._counts, prepare)

    @contextlib.contextmanager
    def _bounded(self) -> Generator[None]:
        """Give a prompt up after `longest_s`: a tokenizer is native code, which nothing but its own end can stop."""
        try:
            with anyio.fail_after(self._longest_s):
                yield
        except TimeoutError as error:
            raise InvalidRequestError(
                f"The template and tokenizer of {self._model.name} did not finish the prompt within "
                f"{self._longest_s:,.0f} seconds. Shorten it, raise step_timeout_s, or choose another model."
            ) from error

    @property
    def window(self) -> int | None:
        """The context window in tokens; None where the model names none."""
        return self._model.context_length

    def _rendered(self, request: ChatRequest, cancelled: threading.Event) -> RenderedPrompt:
        def prepare() -> RenderedPrompt:
            prompt = self._lowered(request, render(request, self._model, cancelled.is_set))
            return RenderedPrompt(prompt, checkpoints(request, prompt, self._model) if self._checkpoints else ())

        return _prepared(prepare)

    def _lowered(self, request: ChatRequest, prompt: Prompt) -> Prompt:
        """Apply the cap, and say so where the caller asked for more than there is."""
        asked, limit = request.sampling.max_tokens, min(prompt.max_tokens, self._max_tokens)
        if asked is None or limit >= asked:
            return prompt
        warning = (
            f"max_tokens was lowered from {asked:,} to {limit:,}: more does not fit into the context window or is more "
            "than the setting max_generation_tokens allows."
        )
        return replace(prompt, max_tokens=limit, warnings=(*prompt.warnings, warning))


class _Lane:
    """A queue of prompts: one is prepared at a time, and one more for each that is slow."""

    def __init__(self) -> None:
        self.limiter = anyio.CapacityLimiter(1)
        self._slow = 0

    def widen(self, count: int) -> None:
        """Let `count` more prompts be prepared side by side."""
        self._slow += count
        self.limiter.total_tokens = 1 + min(self._slow, MAX_SIDE_BY_SIDE - 1)


async def _on_thread(lane: _Lane, prepare: Callable[[threading.Event], _Prepared]) -> _Prepared:
    """Prepare something on a thread of its own turn."""
    cancelled = threading.Event()
    loop = asyncio.get_running_loop()
    turn = _RenderingTimer(lane)

    def work() -> _Prepared:
        # At exit the loop may be closed already, and with it the call that waited for this prompt.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(turn.begin, loop)
        try:
            return prepare(cancelled)
        finally:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(turn.end)

    try:
        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=lane.limiter)
    finally:
        cancelled.set()


def _prepared(prepare: Callable[[], _Prepared]) -> _Prepared:
    """Prepare something, and translate what a template or a tokenizer may raise."""
    try:
        return prepare()
    except LocalLLMError:
        raise
    except BaseException as error:
        # A template and a tokenizer came with the model; native code under them panics with a BaseException.
        # Each of them fails this request alone.
        raise InvalidRequestError(f"The request could not be prepared: {reason_of(error)}.") from error


class _RenderingTimer:
    """Times the rendering of one prompt, and lets others overtake a slow one."""

    def __init__(self, lane: _Lane) -> None:
        self._lane = lane
        self._timer: asyncio.TimerHandle | None = None
        self._slow = False

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(SLOW_AFTER_S, self._take_long)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._slow:
            self._lane.widen(-1)

    def _take_long(self) -> None:
        self._slow = True
        self._lane.widen(1)
