"""The requests of one loaded model: who waits, whose prompt is read, who is decoded, and what is kept of it.

One prompt is read at a time, in chunks, while the others are decoded. A waiting request is admitted only when no
prompt is being read: so it finds what the one before it left in the prefix cache. Runs on the MLX thread only.
"""

from collections.abc import Callable
from typing import Any

import mlx.core as mx
from mlx_lm.generate import make_stop_sequences
from mlx_lm.models.cache import make_prompt_cache

from mcp_local_llm.engines.mlx import memory
from mcp_local_llm.engines.mlx.answer import Answer
from mcp_local_llm.engines.mlx.checkpoints import checkpoints
from mcp_local_llm.engines.mlx.decoding import Decoder
from mcp_local_llm.engines.mlx.limits import EngineLimits
from mcp_local_llm.engines.mlx.messages import Failed, Finished, Job, Prefilled, Queued, Started, Vitals
from mcp_local_llm.engines.mlx.prefill import PREFILL_SHARED, Prefill
from mcp_local_llm.engines.mlx.prefix_cache import Kind, Layers, PrefixCache, trimmable_for_good
from mcp_local_llm.engines.mlx.prefix_disk import open_prefix_disk
from mcp_local_llm.engines.mlx.preflight import Preflight
from mcp_local_llm.engines.mlx.processors import ProcessorFactory
from mcp_local_llm.engines.mlx.running import Running
from mcp_local_llm.engines.mlx.sampling import sampler_for
from mcp_local_llm.engines.mlx.sequence import Drawn, Sequence
from mcp_local_llm.engines.mlx.waiting import WaitingLine
from mcp_local_llm.engines.mlx.weights import LoadedModel
from mcp_local_llm.errors import LocalLLMError

WORTH_SHARING = 64
"""Tokens; copying the cache of a running request for fewer is not worth it."""


class Batch:
    """Admits, steps and ends requests; an error of one never reaches another."""

    def __init__(
        self, model: LoadedModel, limits: EngineLimits, kv_bytes: int, vitals: Vitals, clock: Callable[[], float]
    ) -> None:
        self._model = model
        self._vitals = vitals
        self._limits = limits
        self._clock = clock
        self._line = WaitingLine()
        self._prefixes = PrefixCache(kv_bytes, open_prefix_disk(model, limits.prefix_disk))
        self._preflight = Preflight(model, limits)
        self._processors = ProcessorFactory(model)
        self._decoder = Decoder(model.network, limits.places)
        self._prefill: Prefill | None = None
        self._live: dict[int, Running] = {}
        self._admitting: Job | None = None
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
    def prefixes(self) -> PrefixCache:
        """What is kept of prompts."""
        return self._prefixes

    def look(self) -> None:
        """Publish what is held now."""
        self._vitals.memory = memory.held(self._prefixes.nbytes)

    def submit(self, job: Job) -> None:
        """Put a request into the line."""
        self._prefixes.let_go()
        self._line.put(job)
        if len(self._live) + len(self._line) > self._limits.places:
            self._tell_line()

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
        admitting = [] if self._admitting is None else [self._admitting]
        for job in [*(running.answer.job for running in self._live.values()), *admitting, *self._line]:
            job.emit(Failed(error))
        self._live.clear()
        self._line.clear()
        self._prefill = self._admitting = None
        self._prefixes.keep(0)
        self._decoder.close()

    def self_test(self) -> bool:
        """Compute one token from nothing; whether the result is a number."""
        logits = self._model.network(mx.array([[0]]), cache=make_prompt_cache(self._model.network))
        return not bool(mx.any(mx.isnan(logits)).item())

    def _drop_cancelled(self) -> None:
        self._line.drop(lambda job: job.cancelled.is_set())
        for uid in [uid for uid, running in self._live.items() if running.answer.job.cancelled.is_set()]:
            self._remove(uid)

    def _remove(self, uid: int) -> None:
        """Take a running request out, and keep what it computed for the next try."""
        del self._live[uid]
        self._no_room = False
        if self._prefill is not None and self._prefill.uid == uid:
            prefill, self._prefill = self._prefill, None
            kept = (prefill.tokens, prefill.layers)
        else:
            kept = self._decoder.remove(uid)
        if kept is not None:
            self._keep(*kept)

    def _keep(self, tokens: list[int], layers: Layers, kind: Kind = "answer") -> None:
        self._prefixes.make_room(self._live_bytes())
        self._prefixes.put(tokens, layers, kind)
        if self.busy:
            self._prefixes.let_go()

    def _live_bytes(self) -> int:
        return self._decoder.nbytes + (self._prefill.nbytes if self._prefill is not None else 0)

    def _read_prompts(self) -> None:
        """Read prompts for one step: one chunk of a long one, or several short ones that are joined together."""
        left = PREFILL_SHARED if len(self._decoder) else None
        while left is None or left > 0:
            if self._prefill is None and not self._admit_next():
                return
            prefill = self._prefill
            if prefill is None:
                continue
            step = self._live[prefill.uid].plan.prefill_step
            computed = prefill.advance(step if left is None else min(step, left))
            reached = prefill.checkpoint()
            if reached is not None:
                self._keep(prefill.tokens, reached[1], reached[0].kind)
            self._live[prefill.uid].answer.job.emit(Prefilled(prefill.done, prefill.total))
            if prefill.finished:
                self._start(prefill)
            # Once somebody decodes, the rest of this step is theirs but for a small chunk.
            left = max(PREFILL_SHARED - computed, 0) if left is None else left - max(computed, 1)

    def _admit_next(self) -> bool:
        """Admit the request whose turn it is; False when there is none or no place for it."""
        if not self._line or len(self._live) >= self._limits.places or (self._no_room and self._live):
            return False
        job = self._admitting = self._line.first()
        try:
            admitted = self._admit(job)
        except LocalLLMError as error:
            job.emit(Failed(error))
            admitted = True
        self._admitting = None
        if admitted:
            self._line.pop()
            self._tell_line()
        return admitted

    def _admit(self, job: Job) -> bool:
        """Check a request and begin with its prompt; False when it must wait for memory."""
        admitted = self._clock()
        prompt = self._preflight.prompt(job)
        live = self._live_bytes()
        promised = max(sum(running.plan.kv_bytes for running in self._live.values()) - live, 0)
        room = memory.room(self._limits, promised=promised, live=live + promised, prefixes=self._prefixes.nbytes)
        plan = self._preflight.plan(job, prompt, room)
        # Asked again when one of the running requests has ended, not before every token.
        self._no_room = plan.waits
        if plan.waits:
            return False
        processors = self._processors.processors_for(job.request, prompt)
        self._prefixes.keep(plan.keep_prefixes)
        self._prefixes.make_room(live)
        self._share_running(prompt.tokens)
        layers, rest = self._prefixes.take(prompt.tokens)
        cached = len(prompt.tokens) - len(rest)
        self._uids += 1
        ends = () if self._plain else checkpoints(job.request, prompt, cached, self._model)
        self._prefill = Prefill(self._model, self._uids, prompt.tokens, layers, cached, ends)
        answer = Answer(job, prompt, cached, self._model, processors, admitted)
        sampler = sampler_for(job.request.sampling, self._model)
        self._live[self._uids] = Running(answer, plan, sampler, processors.all)
        job.emit(Started(len(prompt.tokens), cached, prompt.think_prefilled, prompt.answer_only))
        return True

    def _share_running(self, tokens: list[int]) -> None:
        """Let a request use the prompt of a running one: several questions about one file often come together."""
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
        """Let decoding take over from a prompt that was read."""
        self._prefill = None
        running = self._live[prefill.uid]
        self._decoder.add(
            Sequence(
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

    def _take(self, drawn: Drawn) -> None:
        """Hand a token to its answer, and end the request where it was the last."""
        answer = self._live[drawn.uid].answer
        event = answer.add(drawn.token, drawn.finish_reason, self._clock())
        ended = isinstance(event, Finished | Failed)
        if drawn.kept is not None:
            del self._live[drawn.uid]
            self._no_room = False
            self._keep(*drawn.kept)
        elif ended:
            self._remove(drawn.uid)
        if ended:
            self.answered += 1
            # Before the caller hears of the end: whoever asks for the status then sees what was kept.
            self.look()
        if event is not None:
            answer.job.emit(event)

    def _tell_line(self) -> None:
        for ahead, job in enumerate(self._line, start=1):
            job.emit(Queued(ahead))
