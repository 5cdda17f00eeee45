"""One running request: its decoding sequence, the tokens drawn for it, and its state, which turns tokens into events.

Runs on the MLX thread only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from mcp_local_llm.engines.mlx.batch.admission import RequestPlan
from mcp_local_llm.engines.mlx.batch.endings import DEFAULT_LIMIT, RepetitionGuard, StopStrings
from mcp_local_llm.engines.mlx.load.kv_cache import Layers
from mcp_local_llm.engines.mlx.load.weights import LoadedModel
from mcp_local_llm.engines.mlx.messages import Event, Failed, Finished, Generated, Job
from mcp_local_llm.engines.mlx.prompt.common_prefix import alike
from mcp_local_llm.engines.mlx.prompt.decoded_text import DecodedText
from mcp_local_llm.engines.mlx.prompt.reasoning_markers import opened_markers
from mcp_local_llm.engines.mlx.steer.processors import Processors, closer_text
from mcp_local_llm.engines.mlx.steer.reasoning_tokens import ReasoningTokens
from mcp_local_llm.engines.mlx.steer.sampling import Sampler
from mcp_local_llm.values.errors import GenerationError
from mcp_local_llm.values.progress import PROGRESS_INTERVAL_S

Processor = Callable[[mx.array, mx.array], mx.array]
"""Takes the tokens so far and logits of shape (1, vocabulary), returns logits; called once for each token drawn."""


@dataclass(frozen=True)
class DecodingSequence:
    """One request that is ready to be decoded.

    Attributes:
        tokens: the tokens in `layers`.
        next_token: drawn, or the last of the prompt; not in `layers` yet.
        stops: mlx-lm's `StopSequences`.
    """

    uid: int
    tokens: list[int]
    layers: Layers
    next_token: int
    max_tokens: int
    sampler: Sampler
    processors: tuple[Processor, ...]
    stops: Any


@dataclass(frozen=True)
class DrawnToken:
    """The next token of a request; `kept` holds tokens and cache when `finish_reason` (`stop`, `length`) ends it.

    The token is `NOT_A_NUMBER` where the network computed no numbers.
    """

    uid: int
    token: int
    finish_reason: str | None = None
    kept: tuple[list[int], Layers] | None = None


class RequestState:
    """The answer of one request so far: takes tokens, returns events, and detects the end."""

    def __init__(
        self,
        job: Job,
        model: LoadedModel,
        processors: Processors,
        admitted: float,
        turn_ends: frozenset[int] = frozenset(),
    ) -> None:
        tokenizer = self._tokenizer = model.tokenizer
        self.job = job
        self.prompt = prompt = job.rendered.prompt
        raw = job.request.prompt is not None
        self._text = DecodedText(tokenizer, prompt.tokens if raw else ())
        self._turn_ends = frozenset() if raw else turn_ends
        self._begun = False
        self._stops = StopStrings(job.request.sampling.stop)
        markers = opened_markers(model.text, model.traits, prompt.pair)
        opener, closer = (markers.opener, markers.closer) if markers else ((), ())
        text = closer_text(markers, tokenizer)
        self._reasoning = ReasoningTokens(opener, closer, prefilled=prompt.think_prefilled, text=text)
        limit = job.request.sampling.repetition_limit
        self._guard = RepetitionGuard(DEFAULT_LIMIT if limit is None else limit)
        self._control = processors.control
        self._penalties = processors.penalties
        self._warnings = (*prompt.warnings, *processors.warnings)
        self._admitted = admitted
        self._first: float | None = None
        self._interval = 0.0 if job.request.stream else PROGRESS_INTERVAL_S
        self._last_event = admitted
        self._tokens = 0
        self._pieces: list[str] = []
        self._json: list[str] = []
        # The continuation of a raw prompt is not parsed either.
        self._in_json = raw

    def add(self, token: int, finish_reason: str | None, now: float) -> Event | None:
        """Take the next token; return an event when one is due, `Finished` or `Failed` when the answer is over."""
        if self._first is None:
            self._first = now
        if self._control is not None:
            self._control.drawn(self._tokens, token)
            if self._control.failure is not None:
                said = f"Constrained decoding failed: {self._control.failure}. Make the schema simpler."
                return Failed(GenerationError(said))
            if self._control.json_from == self._tokens:
                self._begin_json()
        self._tokens += 1
        in_reasoning = self._reasoning.is_open
        self._reasoning.add(token)
        # A token that ends a turn ends it here as well where the model's files do not name it. One at the very start
        # belongs to an echoed header (R1).
        if token in self._turn_ends and self._begun and finish_reason is None:
            finish_reason = "stop"
        # The token that ends a turn is markup, not text; one that only used up the limit is text.
        piece = self._text.add(token) if finish_reason != "stop" else ""
        if finish_reason is not None:
            piece += self._text.finish()
        self._begun = self._begun or (not piece.isspace() and piece != "" and token not in self._turn_ends)
        stopped = ""
        if not in_reasoning:
            piece, stopped = self._stops.feed(piece)
        (self._json if self._in_json else self._pieces).append(piece)
        if stopped or finish_reason is not None:
            if not stopped:
                (self._json if self._in_json else self._pieces).append(self._stops.flush())
            return self._finished("stop" if stopped else str(finish_reason), now, stopped)
        if self._guard.add(token):
            return self._finished("loop", now)
        if now - self._last_event < self._interval:
            return None
        self._last_event = now
        return Generated(_taken(self._pieces), self._tokens, now - self._first, _taken(self._json))

    def _begin_json(self) -> None:
        """Begin the constrained answer: its text is decoded by itself so that no marker mixes with it."""
        self._pieces.append(self._text.finish())
        self._text = DecodedText(self._tokenizer)
        self._in_json = True

    def _finished(self, reason: str, now: float, stop_string: str = "") -> Finished:
        first = self._first if self._first is not None else now
        penalised = self._penalties.warning(self._tokens)
        return Finished(
            text=_taken(self._pieces),
            reason=reason,
            tokens=self._tokens,
            reasoning_tokens=self._reasoning.count,
            queued_s=self._admitted - self.job.submitted,
            prefill_s=first - self._admitted,
            decode_s=now - first,
            json=_taken(self._json),
            schema_met=self._control.schema_met if self._control is not None else None,
            warnings=(*self._warnings, *([penalised] if penalised else [])),
            stop_string=stop_string,
        )


@dataclass(frozen=True)
class RunningRequest:
    """A running request without its KV cache."""

    state: RequestState
    plan: RequestPlan
    sampler: Sampler
    processors: tuple[Processor, ...]

    def shared(self, tokens: list[int]) -> int:
        """Count the tokens with which this prompt and `tokens` begin alike."""
        return alike(self.state.prompt.tokens, tokens)


def _taken(pieces: list[str]) -> str:
    text = "".join(pieces)
    pieces.clear()
    return text
