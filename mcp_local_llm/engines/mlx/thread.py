"""The one thread that touches MLX, seen from outside.

It starts with its first command, is not a daemon, and ends with `mx.clear_streams()`: an interpreter that exits
while a thread still owns MLX streams aborts (measured with mlx 0.32: 3 to 4 of 6 runs without the call, none with it).
"""

import queue
import threading

from mcp_local_llm.engines.mlx.limits import EngineLimits
from mcp_local_llm.engines.mlx.messages import Command, Stop


class MlxThread:
    """Runs commands one after another on a thread of its own; made cheaply, started by the first command."""

    def __init__(self, limits: EngineLimits) -> None:
        self._limits = limits
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def post(self, command: Command) -> None:
        """Hand over a command; returns at once."""
        self._commands.put(command)
        if self._thread is None and not isinstance(command, Stop):
            self._thread = threading.Thread(target=self._run, name="mlx", daemon=False)
            self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the end after `Stop`; say whether it came."""
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        # Imported here, on this thread: the first import of mlx and mlx-lm takes one to two seconds, and arrays
        # that an import creates belong to the thread that made them.
        from mcp_local_llm.engines.mlx.worker import Worker

        Worker(self._commands, self._limits).run()
