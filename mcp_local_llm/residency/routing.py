"""A loader that chooses how a model is loaded by its kind."""

from collections.abc import Awaitable, Callable

from mcp_local_llm.values.engine import Engine, EngineLoader
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import ReportProgress

Load = Callable[[ModelInfo, ReportProgress], Awaitable[Engine]]
"""Loads a model as `EngineLoader.load` does, where no thread of this process can hang."""


class RoutingLoader:
    """Loads a model in this process, starts a server for it, or uses the server of its endpoint."""

    def __init__(self, *, here: EngineLoader, started: Load, elsewhere: Load) -> None:
        self._here = here
        self._started = started
        self._elsewhere = elsewhere

    async def load(self, model: ModelInfo, report: ReportProgress) -> Engine:
        """Load `model` in the way of its kind; see `EngineLoader.load`."""
        if model.endpoint is not None:
            return await self._elsewhere(model, report)
        return await (self._started if model.started else self._here.load)(model, report)

    def fault(self) -> str | None:
        """Return why the models of this process cannot be used now; see `EngineLoader.fault`."""
        return self._here.fault()
