"""Prepare prompts off the MLX thread: on worker threads that can be left when nobody waits any more.

Requests whose prompts are rendered quickly keep the order in which they came. One that takes longer lets those behind
it pass, so that a long text or a template that loops delays nobody else.
"""

import asyncio
import contextlib
import threading
from dataclasses import dataclass

import anyio
import anyio.to_thread

from mcp_local_llm.engines.mlx.prompt.checkpoints import Checkpoint, checkpoints
from mcp_local_llm.engines.mlx.prompt.render import Prompt, TextModel, render
from mcp_local_llm.values.chat import ChatRequest
from mcp_local_llm.values.errors import InvalidRequestError, LocalLLMError, reason_of

SLOW_AFTER_S = 0.25
"""Seconds after which a prompt that is still being prepared lets the next one begin."""
MAX_SIDE_BY_SIDE = 8
"""Prompts that are prepared side by side at most; those that were given up count until they notice it."""


@dataclass(frozen=True)
class RenderedPrompt:
    """A prompt, and where its KV cache is worth keeping."""

    prompt: Prompt
    checkpoints: tuple[Checkpoint, ...] = ()


class Renderer:
    """Renders and tokenizes for one loaded model; lives on the event loop.

    Args:
        model: the tokenizer and template.
        max_tokens: the longest answer that a request may ask for.
        checkpoints: whether KV caches can only be kept at certain places, which must be found.
    """

    def __init__(self, model: TextModel, max_tokens: int, *, checkpoints: bool) -> None:
        self._model = model
        self._max_tokens = max_tokens
        self._checkpoints = checkpoints
        self._limiter = anyio.CapacityLimiter(1)
        self._slow = 0

    @property
    def model(self) -> TextModel:
        """Whose prompts are rendered."""
        return self._model

    async def render(self, request: ChatRequest) -> RenderedPrompt:
        """Prepare a prompt; cancelling leaves the thread behind, which ends at its next look.

        Raises:
            InvalidRequestError, ContextLengthError: see `prompt.render`; or `max_tokens` is above the cap.
        """
        asked, cap = request.sampling.max_tokens, self._max_tokens
        if asked is not None and asked > cap:
            raise InvalidRequestError(
                f"max_tokens is {asked:,}, but the setting max_generation_tokens allows {cap:,} for one answer. "
                "Ask for fewer, or raise the setting."
            )
        cancelled = threading.Event()
        loop = asyncio.get_running_loop()
        turn = _RenderingTimer(self)

        def work() -> RenderedPrompt:
            # At exit the loop may be closed already; then nobody waits for this prompt any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(turn.begin, loop)
            try:
                return self._rendered(request, cancelled)
            finally:
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(turn.end)

        try:
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)
        finally:
            cancelled.set()

    def _rendered(self, request: ChatRequest, cancelled: threading.Event) -> RenderedPrompt:
        try:
            prompt = render(request, self._model, cancelled.is_set)
            return RenderedPrompt(prompt, checkpoints(request, prompt, self._model) if self._checkpoints else ())
        except LocalLLMError:
            raise
        except BaseException as error:
            # A template and a tokenizer came with the model; native code under them panics with a BaseException.
            # Whatever it is, it concerns this request alone.
            raise InvalidRequestError(f"The request could not be prepared: {reason_of(error)}.") from error

    def widen(self, count: int) -> None:
        """Let `count` more prompts be prepared side by side."""
        self._slow += count
        self._limiter.total_tokens = 1 + min(self._slow, MAX_SIDE_BY_SIDE - 1)


class _RenderingTimer:
    """One prompt's time on its thread; lets others pass once it takes long."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._timer: asyncio.TimerHandle | None = None
        self._slow = False

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(SLOW_AFTER_S, self._take_long)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._slow:
            self._renderer.widen(-1)

    def _take_long(self) -> None:
        self._slow = True
        self._renderer.widen(1)
