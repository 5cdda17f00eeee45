"""Runs on the MLX thread: takes commands, loads and unloads, and steps the batch in between.

This module and the ones it imports that touch mlx run on that thread alone.
"""

import logging
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import mlx.core as mx

from mcp_local_llm.engines.mlx import heap
from mcp_local_llm.engines.mlx.batch import memory
from mcp_local_llm.engines.mlx.batch.admission import kv_budget
from mcp_local_llm.engines.mlx.batch.batch import Batch
from mcp_local_llm.engines.mlx.limits import EngineLimits
from mcp_local_llm.engines.mlx.load.weights import LoadCancelled, load
from mcp_local_llm.engines.mlx.messages import (
    Command,
    Done,
    Failed,
    Job,
    Load,
    LoadProgress,
    ModelState,
    Stop,
    Submit,
    Unload,
)
from mcp_local_llm.engines.mlx.watch import StepWatch
from mcp_local_llm.values.errors import GenerationError, ModelLoadError, reason_of

MAX_FAILURES = 2
"""Failures in a row after which the weights are no longer trusted either."""

UNLOAD_SAVE_S = 5.0
"""Seconds for which an unload may write prefixes to the disk: a call may wait for the next model."""

log = logging.getLogger(__name__)


@dataclass
class _ActiveModel:
    """The batch of the loaded model, its state, and the failed steps since the last whole answer."""

    batch: Batch
    state: ModelState
    failures: int = 0
    answered: int = 0
    stepped: bool = False


class Worker:
    """Holds the one loaded model and its batch."""

    def __init__(
        self,
        commands: "queue.SimpleQueue[Command]",
        limits: EngineLimits,
        watch: StepWatch,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._commands = commands
        self._limits = limits
        self._watch = watch
        self._clock = clock
        self._loaded: _ActiveModel | None = None
        self._command: Command | None = None
        self._jobs: list[Job] = []

    def run(self) -> None:
        """Serve commands until `Stop`; while requests run, a command is taken between two steps.

        Raises:
            BaseException: what ended the thread; `unanswered` holds the commands that wait for an answer.
        """
        try:
            with self._watch.bounded("setting MLX up", self._limits.load_timeout_s):
                memory.set_up()
                _compile_no_kernels()
            while self._serve():
                pass
        except BaseException:
            self._abandon()
            raise
        finally:
            self._clean_up()

    def unanswered(self) -> list[Command]:
        """Return the commands without an answer when `run` raised."""
        return [*([self._command] if self._command is not None else []), *(Submit(job) for job in self._jobs)]

    def _serve(self) -> bool:
        """Make one step of the batch, or execute one command; False after `Stop`."""
        if self._loaded is not None and self._loaded.batch.busy and self._commands.empty():
            self._step(self._loaded)
            return True
        command = self._next()
        if isinstance(command, Stop):
            return False
        if command is not None:
            self._command = command
            self._obey(command)
            self._command = None
        elif self._loaded is not None:
            with self._watch.bounded("saving prompts", self._limits.load_timeout_s):
                self._try(partial(_save, cancelled=self._command_waits))
        return True

    def _step(self, loaded: _ActiveModel) -> None:
        """Make one step of the batch; the first may take as long as a load, because the device compiles its kernels."""
        bound, longest = self._limits.step_timeout_s, self._limits.load_timeout_s
        with self._watch.bounded("a step of the model", bound if loaded.stepped else max(bound, longest)):
            self._try(Batch.step)
        loaded.stepped = True

    def _abandon(self) -> None:
        """Store the pending jobs and drop the model, without calling MLX."""
        if self._loaded is not None:
            loaded, self._loaded = self._loaded, None
            loaded.state.lost = True
            self._jobs = loaded.batch.jobs()

    def _clean_up(self) -> None:
        """Leave no stream behind, or the interpreter's exit aborts."""
        with self._watch.bounded("ending MLX", self._limits.step_timeout_s):
            try:
                self._unload("The server is stopping.")
                memory.release()
                mx.synchronize()
            finally:
                mx.clear_streams()

    def _next(self) -> Command | None:
        """Wait for the next command; None after `quiet_s` without a command, when prefixes may be written."""
        disk, loaded = self._limits.prefix_disk, self._loaded
        if disk is None or loaded is None or not loaded.batch.prefixes.unsaved:
            return self._commands.get()
        try:
            return self._commands.get(timeout=0 if loaded.batch.prefixes.leaving else disk.quiet_s)
        except queue.Empty:
            return None

    def _command_waits(self) -> bool:
        return not self._commands.empty()

    def _obey(self, command: Command) -> None:
        match command:
            case Load():
                with self._watch.bounded(f"loading {command.model.id}", self._limits.load_timeout_s):
                    self._load(command)
            case Submit(job):
                self._submit(job)
            case Unload(emit):
                with self._watch.bounded("unloading the model", self._limits.step_timeout_s):
                    self._save_before_unload()
                    self._unload("The model was unloaded while it was answering. Send the request again.")
                emit(Done())
            case _:
                pass  # Wake: the next step sees the cancelled job.

    def _load(self, command: Load) -> None:
        self._save_before_unload()
        self._unload("Another model is being loaded. Send the request again.")

        def report(done: int, total: int) -> None:
            self._watch.advance()
            command.emit(LoadProgress(done, total))

        try:
            batch = self._batch(command, report)
        except LoadCancelled as error:
            self._give_up(error)
        except ModelLoadError as error:
            self._give_up(error)
            command.emit(Failed(error))
        except (Exception, SystemExit) as error:
            # The tail of a load wires memory, opens the disk tier and reads the network: whatever mlx raises there
            # means that this model cannot be used, and the thread goes on.
            log.exception("loading failed")
            self._give_up(error)
            command.emit(Failed(ModelLoadError(f"{command.model.id} could not be loaded: {reason_of(error)}")))
        else:
            self._loaded = _ActiveModel(batch, command.state)
            command.state.memory = memory.held(0)
            command.emit(batch.loaded)

    def _batch(self, command: Load, report: Callable[[int, int], None]) -> Batch:
        """Load the model and make its batch."""
        model = load(command.model, report, command.cancelled.is_set, self._limits.kv_bits)
        memory.wire_weights(self._limits.wired)
        free = memory.read_free_memory(self._limits, promised=0, live=0, prefixes=0).free
        budget = kv_budget(free, self._limits.prefix_cache_bytes)
        return Batch(model, self._limits, budget, command.state, self._clock)

    def _give_up(self, error: BaseException) -> None:
        memory.clear_frames(error)
        memory.release()

    def _submit(self, job: Job) -> None:
        if self._loaded is None:
            job.emit(Failed(GenerationError("No model is loaded any more. Send the request again.")))
        else:
            self._loaded.batch.submit(job)

    def _save_before_unload(self) -> None:
        """Write unsaved prefixes for at most `UNLOAD_SAVE_S`."""
        until = self._clock() + UNLOAD_SAVE_S
        if self._loaded is not None:
            self._try(partial(_save, cancelled=lambda: self._clock() > until))

    def _try(self, work: Callable[[Batch], None]) -> None:
        """Run `work` on the batch; unload the model after too many failures."""
        reason = self._failure(work)
        if reason is not None:
            self._unload(reason)

    def _failure(self, work: Callable[[Batch], None]) -> str | None:
        """Run `work` on the batch; return why the model must be unloaded, or None."""
        loaded = self._loaded
        assert loaded is not None, "only where a model is loaded"
        try:
            work(loaded.batch)
            if not loaded.batch.busy:
                loaded.batch.look()
                # Grammars are made of small pieces: those of one long schema left up to 180 MB with the process.
                heap.trim()
        except Exception as error:
            # The thread's edge: whatever mlx raises ends the requests of this batch, never the thread, because
            # every later request of the process depends on it.
            log.exception("generation failed; requests: %s", ", ".join(job.call for job in loaded.batch.jobs()))
            memory.clear_frames(error)
            return self._recover(loaded, str(error) or type(error).__name__)
        if loaded.batch.answered != loaded.answered:
            loaded.answered, loaded.failures = loaded.batch.answered, 0
        return None

    def _recover(self, loaded: _ActiveModel, reason: str) -> str | None:
        """Keep the weights after a failure if they still compute; give them up after a second one in a row."""
        loaded.failures += 1
        if loaded.failures < MAX_FAILURES:
            loaded.batch.fail_all(GenerationError(f"Generation failed: {reason}. The next request starts afresh."))
            memory.release()
            if self._computes(loaded.batch):
                loaded.batch.look()
                return None
        # Set before the failure is reported, so that the next call loads the model.
        loaded.state.lost = True
        return f"Generation failed again: {reason}. The model was unloaded; the next request loads it anew."

    def _computes(self, batch: Batch) -> bool:
        try:
            return batch.self_test()
        except Exception:
            # The thread's edge, as above: a device that fails here as well cannot be used with these weights.
            log.exception("self-test failed")
            return False

    def _unload(self, reason: str) -> None:
        if self._loaded is not None:
            loaded, self._loaded = self._loaded, None
            loaded.batch.fail_all(GenerationError(reason))
            state = loaded.state
            del loaded
            memory.release()
            state.memory = memory.held(0)


def _save(batch: Batch, cancelled: Callable[[], bool]) -> None:
    """Write prefixes to the disk, until all are written or `cancelled` says so."""
    while batch.prefixes.unsaved and not cancelled():
        batch.prefixes.save_next(cancelled)


def _compile_no_kernels() -> None:
    """Let MLX compute on a CPU what it would compile there.

    It would run a C++ compiler through a shell, and load libraries from `mlx` in the folder for temporary files, where
    another user of the machine can put them. The answers are the same.
    """
    if mx.default_device() == mx.cpu:
        mx.disable_compile()
