"""The one thread that touches MLX, as other threads use it. Importing this module imports no mlx.

It starts with its first command, is not a daemon, and ends with `mx.clear_streams()`: an interpreter that exits
while a thread still owns MLX streams aborts (measured with mlx 0.32: 3 to 4 of 6 runs without the call, none with it).

When an exception ends the thread, every pending command is answered with the cause as an error, and the next command
starts a new thread.
"""

import gc
import importlib
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mcp_local_llm.engines.mlx.file_limit import file_limit_kept
from mcp_local_llm.engines.mlx.limits import EngineLimits
from mcp_local_llm.engines.mlx.messages import Command, Stop, refuse
from mcp_local_llm.engines.mlx.watch import StepWatch
from mcp_local_llm.values.errors import LocalLLMError, ModelLoadError, reason_of

if TYPE_CHECKING:
    from mcp_local_llm.engines.mlx.worker import Worker

log = logging.getLogger(__name__)


class MlxThread:
    """Runs commands one after another on a thread of its own; made cheaply, started by the first command.

    Attributes:
        watch: whether the present step of the thread is overdue.
    """

    def __init__(self, limits: EngineLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self.watch = StepWatch(clock)

    def post(self, command: Command) -> None:
        """Hand over a command; returns at once."""
        with self._lock:
            refused = _stopping() if self._closed else None
            self._closed = self._closed or isinstance(command, Stop)
            if refused is None and self._thread is None and not self._closed:
                refused = self._start()
            if refused is None:
                self._commands.put(command)
        if refused is not None:
            refuse(command, refused)

    def _start(self) -> LocalLLMError | None:
        """Start the thread; return why it could not be started, so that the next command tries again."""
        thread = threading.Thread(target=self._run, name="mlx", daemon=False)
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            log.exception("the MLX thread could not be started")
            return ModelLoadError(
                f"The MLX engine could not be started: {reason_of(error)}. The machine may have no room for another "
                "thread: close other programs and send the request again."
            )
        self._thread = thread
        return None

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the end after `Stop`; return whether it has ended."""
        thread = self._thread
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _run(self) -> None:
        worker: Worker | None = None
        cause: BaseException | None = None
        try:
            with self.watch.bounded("importing MLX", self._limits.load_timeout_s):
                worker = self._worker()
            worker.run()
        except BaseException as error:
            # The thread's edge: every pending command gets an answer, also after SystemExit and panics of native code.
            log.exception("the MLX thread ended")
            cause = error
        with self._lock:
            left = worker.unanswered() if worker is not None else []
            while not self._commands.empty():
                left.append(self._commands.get())
            if cause is not None:
                # Before the failure is reported, so that the next command starts a new thread.
                self._thread = None
        for command in left:
            refuse(command, _stopping() if cause is None else _ended(cause))

    def _worker(self) -> "Worker":
        _leave_removed_folder()
        # Imported here, on this thread: the first import of mlx and mlx-lm takes one to two seconds, and arrays
        # that an import creates belong to the thread that made them.
        with file_limit_kept(), _forgotten_if_broken():
            from mcp_local_llm.engines.mlx.load.transformers_import import import_transformers

            import_transformers()
            from mcp_local_llm.engines.mlx.worker import Worker
        if not gc.get_freeze_count():
            # Modules stay for good, and nobody is answered while the collector looks at all that is in them.
            gc.freeze()

        return Worker(self._commands, self._limits, self.watch, self._clock)


@contextmanager
def _forgotten_if_broken() -> Generator[None]:
    """Forget the package `mlx` where its native part fails to load, so that the next call finds a repaired one."""
    try:
        yield
    except BaseException:
        # A native part that has loaded stays: it must not be loaded twice into one process.
        if "mlx.core" not in sys.modules:
            for name in [name for name in sys.modules if name.partition(".")[0] == "mlx"]:
                del sys.modules[name]
        importlib.invalidate_caches()
        raise


def _leave_removed_folder() -> None:
    """Go to the root folder where the working folder was removed: transformers resolves a relative path at import."""
    try:
        os.getcwd()
    except OSError:
        os.chdir(os.sep)


def _stopping() -> LocalLLMError:
    return ModelLoadError("The server is stopping.")


def _ended(cause: BaseException) -> LocalLLMError:
    return ModelLoadError(f"The MLX engine ended: {reason_of(cause)}. The next call starts it again.")
