"""A loader that chooses one of three loaders by the kind of the model."""

from mcp_local_llm.values.engine import Engine, EngineLoader
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import ReportProgress


class RoutingLoader:
    """Loads a model in this process, starts a server for it, or uses the server of its endpoint."""

    def __init__(self, *, here: EngineLoader, started: EngineLoader, elsewhere: EngineLoader) -> None:
        self._here = here
        self._started = started
        self._elsewhere = elsewhere

    async def load(self, model: ModelInfo, report: ReportProgress) -> Engine:
        """Load `model` with the loader of its kind; see `EngineLoader.load`."""
        if model.endpoint is not None:
            return await self._elsewhere.load(model, report)
        return await (self._started if model.started else self._here).load(model, report)

    def fault(self) -> str | None:
        """Return why the models of this process cannot be used now; see `EngineLoader.fault`."""
        return self._here.fault()
