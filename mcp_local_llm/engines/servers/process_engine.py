"""A model on a server of ours as an engine: requests go over HTTP, and the end of the server is told of.

It must not know HTTP: the engine that sends requests is passed in.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from mcp_local_llm.engines.servers.server_process import ServerProcess
from mcp_local_llm.engines.servers.stop_watch import ServerHangsError, ServerStoppedError, StopWatch
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, TokenCounts
from mcp_local_llm.values.engine import Engine
from mcp_local_llm.values.errors import BackendUnavailableError
from mcp_local_llm.values.model import ModelInfo

EXIT_WAIT_S = 1.0
"""Seconds between a cut connection and the end of the process that cut it."""


class ProcessEngine:
    """Forwards requests to the server, and stops the server when the model is unloaded.

    Attributes:
        model: the model that was loaded.
        memory: None, because it is another process's.
        waiting: 0, because the queue is on the server.
    """

    memory: None = None
    waiting: int = 0

    def __init__(
        self, model: ModelInfo, title: str, engine: Engine, server: ServerProcess, watch: Callable[[], StopWatch]
    ) -> None:
        self.model = model
        self._title = title
        self._engine = engine
        self._server = server
        self._make_watch = watch

    @property
    def lost(self) -> bool:
        """Whether the server has ended; the next call starts it again."""
        return not self._server.alive

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk]:
        """Answer through the server; see `Engine.stream`.

        Raises:
            BackendUnavailableError: it ended in the middle of the answer, with its last lines; or it is stopped.
            LocalLLMError: as the engine over HTTP.
        """
        watch = self._make_watch()
        try:
            async with aclosing(self._engine.stream(request)) as chunks, watch:
                while (chunk := await watch.wait(anext(chunks, None))) is not None:
                    if chunk.result is not None:
                        # This program's id of the model, in place of the server's.
                        chunk = replace(chunk, result=replace(chunk.result, model=self.model.id))
                    yield chunk
        except ServerStoppedError as error:
            raise BackendUnavailableError(
                f"{self._title} ({error}), which runs {self.model.id}, was stopped by a signal. Let it go on "
                "(`kill -CONT` with its number) or end it, then send the request again."
            ) from error
        except ServerHangsError as error:
            await self._server.stop()
            raise BackendUnavailableError(
                f"{self._title}, which ran {self.model.id}, {error}, so it was ended. "
                "Send the request again; it is started anew."
            ) from error
        except BackendUnavailableError as error:
            if not await self._server.ended(EXIT_WAIT_S):
                if not await watch.is_closed():
                    raise
                await self._server.stop()
            await self._server.wait_for_output()
            raise BackendUnavailableError(
                f"{self._title}, which ran {self.model.id}, {self._server.describe_exit()}\n"
                "Send the request again; it is started anew."
            ) from error

    async def count(self, items: Sequence[ChatRequest | str]) -> TokenCounts:
        """Count as the engine over HTTP does, under this program's id of the model."""
        return replace(await self._engine.count(items), model=self.model.id)

    async def unload(self) -> None:
        """Stop the server, and wait until its memory is free."""
        await self._server.stop()
