"""A model on a server that we started, as the core sees it."""

import dataclasses
from collections.abc import AsyncGenerator
from contextlib import aclosing

from mcp_local_llm.engines.servers.server_process import ServerProcess
from mcp_local_llm.values.chat import ChatRequest
from mcp_local_llm.values.engine import ChatChunk, Engine, EngineMemory
from mcp_local_llm.values.errors import BackendUnavailableError
from mcp_local_llm.values.model import ModelInfo

END_S = 1.0
"""Seconds between a cut connection and the end of the process that cut it."""


class ProcessEngine:
    """Asks the server, and stops it with the model."""

    def __init__(self, model: ModelInfo, title: str, engine: Engine, server: ServerProcess) -> None:
        self._model = model
        self._title = title
        self._engine = engine
        self._server = server

    @property
    def model(self) -> ModelInfo:
        """The model that was loaded."""
        return self._model

    @property
    def memory(self) -> EngineMemory | None:
        """None: the memory is another process's."""
        return None

    @property
    def waiting(self) -> int:
        """0: the line is the server's."""
        return 0

    @property
    def lost(self) -> bool:
        """Whether the server has ended; the next call starts it again."""
        return not self._server.alive

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk]:
        """Answer through the server; see `Engine.stream`.

        Raises:
            BackendUnavailableError: it ended in the middle of the answer; the message holds its last lines.
            LocalLLMError: as the engine over HTTP.
        """
        try:
            async with aclosing(self._engine.stream(request)) as chunks:
                async for chunk in chunks:
                    yield chunk if chunk.result is None else self._named(chunk)
        except BackendUnavailableError as error:
            if not await self._server.ended(END_S):
                raise
            await self._server.last_words()
            raise BackendUnavailableError(
                f"{self._title}, which ran {self._model.id}, {self._server.ending()}\n"
                "Send the request again; it is started anew."
            ) from error

    async def unload(self) -> None:
        """Stop the server, and wait until its memory is free."""
        await self._server.stop()

    def _named(self, chunk: ChatChunk) -> ChatChunk:
        """Call the model in the result what it is called here."""
        assert chunk.result is not None
        return dataclasses.replace(chunk, result=dataclasses.replace(chunk.result, model=self._model.id))
