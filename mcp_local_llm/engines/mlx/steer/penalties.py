"""Penalties: make tokens less likely that the answer already holds.

The prompt never counts: a text that was handed over to be summarised, quoted or corrected must not make its own words
unlikely. mlx-lm's processors look at the last 20 tokens of prompt and answer instead, and Hugging Face's at all of
both. The tokens of the answer are counted on the device, so nothing waits for them.

Runs on the MLX thread only.
"""

from dataclasses import dataclass

import mlx.core as mx

from mcp_local_llm.engines.mlx.load.generation_config import SamplingDefaults, is_greedy
from mcp_local_llm.values.chat import SamplingParams

LONG_INPUT = 4096
"""Prompt tokens from which a greedy answer gets the setting `long_input_penalty`, unless request or model name one: on
long inputs greedy decoding is prone to loops."""
LONG_INPUT_ONSET = 256
"""Tokens of the answer that stay free of it: a short answer is not looping."""


@dataclass(frozen=True)
class Penalties:
    """The penalties on the logits of tokens that the answer holds.

    Attributes:
        repetition: factor, once a token occurred (Keskar et al., CTRL, 2019); 1 is off.
        frequency: subtracted for each occurrence, as in OpenAI's API; 0 is off.
        presence: subtracted once; 0 is off.
        onset: tokens of the answer before anything applies.
        unasked: neither the request nor the model named it.
    """

    repetition: float = 1.0
    frequency: float = 0.0
    presence: float = 0.0
    onset: int = 0
    unasked: bool = False

    @property
    def off(self) -> bool:
        """Whether nothing would change."""
        return self.repetition == 1.0 and self.frequency == 0.0 and self.presence == 0.0

    def warning(self, answer_tokens: int) -> str | None:
        """Return the warning about a penalty that was not requested, if it acted on an answer of this length."""
        if not self.unasked or answer_tokens <= self.onset:
            return None
        return (
            f"A repetition penalty of {self.repetition:g} (setting long_input_penalty) acted from the answer's token "
            f"{self.onset + 1} on, because the prompt is long; repetition_penalty=1 switches it off."
        )


NO_PENALTIES = Penalties()


def penalties_for(
    params: SamplingParams, defaults: SamplingDefaults, prompt_tokens: int, *, free: bool, long_input: float = 1.0
) -> Penalties:
    """Choose the penalties of a request: its own values, else the model's, else a light one on long inputs.

    Args:
        params: the request's values, with the user's own defaults filled in.
        defaults: the model's.
        prompt_tokens: length of the prompt.
        free: whether the answer is free text; the keys and brackets of constrained JSON must repeat.
        long_input: repetition penalty of greedy answers to long prompts; 1 is off.
    """
    frequency, presence = params.frequency_penalty or 0.0, params.presence_penalty or 0.0
    if params.repetition_penalty is not None:
        return Penalties(params.repetition_penalty, frequency, presence)
    if defaults.repetition_penalty != 1.0:
        return Penalties(defaults.repetition_penalty, frequency, presence)
    silent = params.frequency_penalty is None and params.presence_penalty is None
    if long_input != 1.0 and silent and free and prompt_tokens >= LONG_INPUT and is_greedy(params, defaults):
        return Penalties(long_input, onset=LONG_INPUT_ONSET, unasked=True)
    return Penalties(1.0, frequency, presence)


class PenaltyProcessor:
    """Applies `Penalties` to one answer, step by step; a logits processor in mlx-lm's sense."""

    def __init__(self, penalties: Penalties) -> None:
        self._penalties = penalties
        self._prompt_tokens: int | None = None
        self._counts: mx.array | None = None

    def __call__(self, context: mx.array, logits: mx.array) -> mx.array:
        """Take prompt and answer so far, shape (tokens,), and logits, shape (1, vocabulary); return new logits."""
        if self._counts is None or self._prompt_tokens is None:
            # The first call comes before the first token is drawn.
            self._prompt_tokens = context.shape[0]
            self._counts = mx.zeros(logits.shape[-1], dtype=mx.float32)
            return logits
        self._counts = self._counts.at[context[-1:]].add(1.0)
        if context.shape[0] - self._prompt_tokens <= self._penalties.onset:
            return logits
        return self._penalised(logits.astype(mx.float32), self._counts).astype(logits.dtype)

    def _penalised(self, logits: mx.array, counts: mx.array) -> mx.array:
        rules, seen = self._penalties, counts > 0
        if rules.repetition != 1.0:
            stretched = mx.where(logits < 0, logits * rules.repetition, logits / rules.repetition)
            logits = mx.where(seen, stretched, logits)
        if rules.frequency:
            logits = logits - rules.frequency * counts
        if rules.presence:
            logits = logits - rules.presence * seen
        return logits
