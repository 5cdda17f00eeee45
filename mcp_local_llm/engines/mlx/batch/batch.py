"""The requests of one loaded model: waiting, in prefill, and in decoding; and the prefix cache that they fill.

One prompt is read at a time, in chunks, while the others are decoded. A waiting request is admitted only when no
prompt is being read: so it finds what the one before it left in the prefix cache. Runs on the MLX thread only.
"""

import logging
from collections.abc import Callable
from typing import Any

import mlx.core as mx
from mlx_lm.generate import make_stop_sequences
from mlx_lm.models.cache import make_prompt_cache

from mcp_local_llm.engines.mlx.batch import memory
from mcp_local_llm.engines.mlx.batch.decoder import Decoder
from mcp_local_llm.engines.mlx.batch.prefill import PREFILL_SHARED, PREFILL_UNWATCHED, Prefill
from mcp_local_llm.engines.mlx.batch.prepare import PreparedRequest, RequestPreparer
from mcp_local_llm.engines.mlx.batch.request import DecodingSequence, DrawnToken, RequestState, RunningRequest
from mcp_local_llm.engines.mlx.batch.request_queue import RequestQueue
from mcp_local_llm.engines.mlx.limits import EngineLimits
from mcp_local_llm.engines.mlx.load.kv_cache import Layers, trimmable_for_good
from mcp_local_llm.engines.mlx.load.weights import LoadedModel
from mcp_local_llm.engines.mlx.messages import (
    Event,
    Failed,
    Finished,
    Job,
    Loaded,
    ModelState,
    Prefilled,
    Queued,
    Started,
)
from mcp_local_llm.engines.mlx.prefix.cache import PrefixCache
from mcp_local_llm.engines.mlx.prefix.disk import open_prefix_disk
from mcp_local_llm.engines.mlx.prompt.checkpoints import CheckpointKind, beyond
from mcp_local_llm.engines.mlx.steer.sampling import NOT_A_NUMBER
from mcp_local_llm.values.errors import GenerationError, LocalLLMError, reason_of

WORTH_SHARING = 64
"""Tokens; for fewer the cache of a running request is not copied."""

log = logging.getLogger(__name__)


class Batch:
    """Admits, steps and ends requests; an error of one never reaches another."""

    def __init__(
        self,
        model: LoadedModel,
        limits: EngineLimits,
        kv_bytes: int,
        model_state: ModelState,
        clock: Callable[[], float],
    ) -> None:
        self._model = model
        self._model_state = model_state
        self._limits = limits
        self._clock = clock
        self._line = RequestQueue()
        self._prefixes = PrefixCache(kv_bytes, open_prefix_disk(model, limits.prefix_disk))
        self._preparer = RequestPreparer(model, limits, clock)
        self._decoder = Decoder(model.network, limits.places)
        self._prefill: Prefill | None = None
        self._live: dict[int, RunningRequest] = {}
        self._no_room = False
        self._uids = 0
        self._plain = trimmable_for_good(make_prompt_cache(model.network))
        self._stops: Any = make_stop_sequences(model.tokenizer)
        self.answered = 0

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._line or self._live)

    @property
    def loaded(self) -> Loaded:
        """The event for a completed load."""
        return Loaded(self._model.text, checkpoints=not self._plain)

    @property
    def prefixes(self) -> PrefixCache:
        """The prefix cache."""
        return self._prefixes

    def look(self) -> None:
        """Publish the memory that is held now."""
        self._model_state.memory = memory.held(self._prefixes.nbytes)

    def submit(self, job: Job) -> None:
        """Put a request into the queue."""
        self._prefixes.drop_evicted()
        self._line.put(job)
        if len(self._live) + len(self._line) > self._limits.places:
            self._report_places()

    def jobs(self) -> list[Job]:
        """Return every request that waits for an answer."""
        # A request that fails while it begins is in both places.
        return list(dict.fromkeys([*(running.state.job for running in self._live.values()), *self._line]))

    def step(self) -> None:
        """Drop what was cancelled, draw one token a request, then read one chunk of a prompt."""
        self._drop_cancelled()
        if len(self._decoder):
            for drawn in self._decoder.next():
                self._take(drawn)
        self._read_prompts()

    def fail_all(self, error: LocalLLMError) -> None:
        """End every request with `error` and drop every KV cache.

        After an error inside MLX nothing that it computed can be trusted: a failed command buffer leaves arrays
        whose contents are undefined.
        """
        for job in self.jobs():
            job.emit(Failed(error))
        self._live.clear()
        self._line.clear()
        self._prefill = None
        self._prefixes.keep(0)
        self._decoder.close()

    def self_test(self) -> bool:
        """Compute one token from nothing; whether the result is a number."""
        logits = self._model.network(mx.array([[0]]), cache=make_prompt_cache(self._model.network))
        return not bool(mx.any(mx.isnan(logits)).item())

    def _drop_cancelled(self) -> None:
        self._line.drop(lambda job: job.cancelled.is_set())
        for uid in [uid for uid, running in self._live.items() if running.state.job.cancelled.is_set()]:
            self._remove(uid)

    def _remove(self, uid: int, *, keep: bool = True) -> None:
        """Take a running request out, and keep its KV cache for the next try, unless `keep` is False."""
        prompt = len(self._live.pop(uid).state.prompt.tokens)
        self._no_room = False
        if self._prefill is not None and self._prefill.uid == uid:
            prefill, self._prefill = self._prefill, None
            kept = (prefill.tokens, prefill.layers)
        else:
            kept = self._decoder.remove(uid)
        if kept is not None and keep:
            self._keep(*kept, prompt)

    def _keep(self, tokens: list[int], layers: Layers, prompt: int, kind: CheckpointKind = "answer") -> None:
        self._prefixes.make_room(self._live_bytes())
        self._prefixes.put(tokens, layers, kind, prompt)
        if self.busy:
            self._prefixes.drop_evicted()

    def _live_bytes(self) -> int:
        return self._decoder.nbytes + (self._prefill.nbytes if self._prefill else 0)

    def _read_prompts(self) -> None:
        """Read prompts for one step: one chunk of a long one, or several short ones that are joined together."""
        left = self._shared_step() if len(self._decoder) else None
        while left is None or left > 0:
            if self._prefill is None and not self._admit_next():
                return
            prefill = self._prefill
            if prefill is None:
                continue
            step = self._live[prefill.uid].plan.prefill_step
            computed = prefill.advance(step if left is None else min(step, left))
            if (reached := prefill.checkpoint()) is not None:
                self._keep(prefill.tokens, reached[1], prefill.total, reached[0].kind)
            self._live[prefill.uid].state.job.emit(Prefilled(prefill.done, prefill.total))
            if prefill.finished:
                self._start(prefill)
            # Once a request is decoded, what prompts get of this step is limited.
            left = max(self._shared_step() - computed, 0) if left is None else left - max(computed, 1)

    def _shared_step(self) -> int:
        """Return the tokens of prompts that one step may read while requests are decoded."""
        streamed = any(running.state.job.request.stream for running in self._live.values())
        return PREFILL_SHARED if streamed else PREFILL_UNWATCHED

    def _admit_next(self) -> bool:
        """Admit the request whose turn it is; False when there is none or no place for it."""
        if not self._line or len(self._live) >= self._limits.places or (self._no_room and self._live):
            return False
        job = self._line.first()
        try:
            prepared = self._prepare(job)
        except LocalLLMError as error:
            job.emit(Failed(error))
        else:
            # Asked again when one of the running requests has ended, not before every token.
            self._no_room = prepared is None
            if prepared is None:
                return False
            self._begin(job, prepared)
        self._line.pop()
        self._report_places()
        return True

    def _prepare(self, job: Job) -> PreparedRequest | None:
        """Prepare the request; None: it must wait for memory. Raises as `RequestPreparer.prepare`."""
        live = self._live_bytes()
        promised = max(sum(running.plan.kv_bytes for running in self._live.values()) - live, 0)
        return self._preparer.prepare(job, promised=promised, live=live + promised, prefixes=self._prefixes.nbytes)

    def _begin(self, job: Job, prepared: PreparedRequest) -> None:
        """Start the prefill of a request, from its cached prefix."""
        prompt, plan = job.rendered.prompt, prepared.plan
        surplus = self._prefixes.nbytes - plan.keep_prefixes
        self._share_running(prompt.tokens)
        # Before room is made: the prefix that this request continues is then its own, and need not stay.
        layers, rest = self._prefixes.take(prompt.tokens)
        cached = len(prompt.tokens) - len(rest)
        self._prefixes.continued(prompt.tokens, len(prompt.tokens))
        self._prefixes.keep(self._prefixes.nbytes - surplus)
        self._prefixes.make_room(self._live_bytes())
        self._uids += 1
        ends = () if self._plain else beyond(job.rendered.checkpoints, cached)
        self._prefill = Prefill(self._model, self._uids, prompt.tokens, layers, cached, ends)
        self._live[self._uids] = RunningRequest(prepared.state, plan, prepared.sampler, prepared.processors)
        extra = {"call": job.call}
        log.info("reads a prompt of %d tokens, %d of them from the KV cache", len(prompt.tokens), cached, extra=extra)
        job.emit(Started(len(prompt.tokens), cached, prompt.think_prefilled, prompt.answer_only, prompt.pair))

    def _share_running(self, tokens: list[int]) -> None:
        """Let a request use the KV cache of a running one: questions about one file often arrive together."""
        if not self._plain:
            return  # Checkpoints serve these: a running cache cannot be cut back.
        known = self._prefixes.longest(tokens)
        for uid, running in self._live.items():
            if running.shared(tokens) > known + WORTH_SHARING:
                copied = self._decoder.copy_of(uid)
                if copied is not None:
                    self._prefixes.put(*copied)
                    return

    def _start(self, prefill: Prefill) -> None:
        """Pass a request from prefill to decoding."""
        self._prefill = None
        running = self._live[prefill.uid]
        self._decoder.add(
            DecodingSequence(
                uid=prefill.uid,
                tokens=prefill.tokens,
                layers=prefill.layers,
                next_token=prefill.last_token,
                max_tokens=running.plan.max_tokens,
                sampler=running.sampler,
                processors=running.processors,
                stops=self._stops,
            )
        )

    def _take(self, drawn: DrawnToken) -> None:
        """Add a token to its answer, and end the request after the last one."""
        state = self._live[drawn.uid].state
        event = self._refusal() if drawn.token == NOT_A_NUMBER else self._event(state, drawn)
        try:
            self._settle(drawn, len(state.prompt.tokens), ended=isinstance(event, Finished | Failed))
        finally:
            # Nobody else answers a request that was taken out, should the device fail while its cache is kept.
            if event is not None:
                state.job.emit(event)

    def _settle(self, drawn: DrawnToken, prompt: int, *, ended: bool) -> None:
        """Take a request out after its last token, and keep its cache."""
        if drawn.kept is not None:
            del self._live[drawn.uid]
            self._no_room = False
            if drawn.token != NOT_A_NUMBER:
                self._keep(*drawn.kept, prompt)
        elif ended:
            self._remove(drawn.uid, keep=drawn.token != NOT_A_NUMBER)
        if ended:
            self.answered += 1
            # Before the caller gets the result, so that a status right after it shows the kept prefixes.
            self.look()

    def _event(self, state: RequestState, drawn: DrawnToken) -> Event | None:
        """Add a token to its answer; an exception of its detokenizer or processors ends this answer alone."""
        try:
            return state.add(drawn.token, drawn.finish_reason, self._clock())
        except BaseException as error:
            # No device works here: a tokenizer turns ids into text, in native code, whose panic is no Exception.
            log.exception("an answer could not be written", extra={"call": state.job.call})
            return Failed(GenerationError(f"The answer could not be written: {reason_of(error)}."))

    def _refusal(self) -> Failed:
        """Return the error for logits that are not finite, and drop the prefix cache."""
        self._prefixes.keep(0)
        error = GenerationError(
            f"{self._model.info.id} computed values that are no numbers (NaN or infinite), so there is no answer. Its "
            "weights may be damaged, or too large for its number format: download it again, or choose another model."
        )
        return Failed(error)

    def _report_places(self) -> None:
        for ahead, job in enumerate(self._line, start=1):
            job.emit(Queued(ahead))
