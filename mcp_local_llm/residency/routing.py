"""One backend out of three: which of them has a model is known from the model."""

from mcp_local_llm.values.engine import Engine, EngineLoader
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import ReportProgress


class RoutedBackend:
    """Loads a model here, starts a server for it, or reaches it where its endpoint is."""

    def __init__(self, *, here: EngineLoader, started: EngineLoader, elsewhere: EngineLoader) -> None:
        self._here = here
        self._started = started
        self._elsewhere = elsewhere

    async def load(self, model: ModelInfo, report: ReportProgress) -> Engine:
        """Load `model` with the backend of its kind; see `EngineLoader.load`."""
        if model.endpoint is not None:
            return await self._elsewhere.load(model, report)
        return await (self._started if model.started else self._here).load(model, report)

    def fault(self) -> str | None:
        """Say why the models of this process cannot be used now; see `EngineLoader.fault`."""
        return self._here.fault()

    def close(self) -> None:
        """Stop all three; does not block."""
        self._here.close()
        self._started.close()
        self._elsewhere.close()
