"""What answers where the settings are wrong: every verb is refused with the sentence that says what to mend.

A client shows a server that ends before the handshake as failed, without a reason; so the server serves.
"""

from mcp_local_llm.chat import ChatRequest, ChatResult
from mcp_local_llm.engine import ReportProgress
from mcp_local_llm.errors import ConfigError
from mcp_local_llm.reports import ModelTable, QuickTest, QuickTestName, Status, Switch
from mcp_local_llm.service import LocalLLM


class Misconfigured(LocalLLM):
    """Refuses what the tools ask for, with one error."""

    def __init__(self, error: ConfigError) -> None:
        self._error = ConfigError(f"{error} Then start this server anew: reconnect it in the client.")

    async def chat(self, request: ChatRequest, report: ReportProgress, *, model: str | None = None) -> ChatResult:
        """Refuse."""
        raise self._error

    async def set_model(self, name: str, report: ReportProgress, *, download: bool = False) -> Switch:
        """Refuse."""
        raise self._error

    async def quick_test(self, name: QuickTestName, report: ReportProgress) -> QuickTest:
        """Refuse."""
        raise self._error

    async def list_models(self) -> ModelTable:
        """Refuse."""
        raise self._error

    async def shared_status(self) -> Status:
        """Refuse."""
        raise self._error

    async def complete(self, typed: str) -> tuple[str, ...]:
        """Offer nothing."""
        return ()

    async def candidates(self, name: str) -> tuple[str, ...]:
        """Offer nothing: the verb that is called next says what is wrong."""
        return ()
