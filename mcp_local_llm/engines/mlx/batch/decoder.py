"""Draws the next token of every running request: one alone, or several in shared forward passes.

mlx-lm's `BatchGenerator` does the batch; it is given prompts that lack their last token only. Runs on the MLX thread
only.
"""

from typing import Any

from mlx_lm.generate import BatchGenerator

from mcp_local_llm.engines.mlx.batch.request import DecodingSequence, DrawnToken
from mcp_local_llm.engines.mlx.batch.solo_decoder import SoloDecoder
from mcp_local_llm.engines.mlx.load.kv_cache import Layers, held_bytes, snapshot
from mcp_local_llm.engines.mlx.steer.sampling import checked


class Decoder:
    """Decodes requests; a single one runs alone until a second arrives, and then stays in the batch.

    To leave the batch it would have to be computed again: the token that a batch drew ahead is not returned.
    """

    def __init__(self, network: Any, batch_size: int) -> None:
        self._network = network
        self._batch_size = batch_size
        self._joining: list[DecodingSequence] = []
        self._solo: SoloDecoder | None = None
        self._generator: Any = None
        self._uids: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._joining) + len(self._uids) + (self._solo is not None)

    @property
    def nbytes(self) -> int:
        """Bytes of all KV caches."""
        total = sum(held_bytes(sequence.layers) for sequence in self._joining)
        if self._solo is not None:
            total += self._solo.nbytes
        return total + (self._generator.prompt_cache_nbytes if self._generator is not None else 0)

    def add(self, sequence: DecodingSequence) -> None:
        """Take a request; its first token comes with the next step."""
        self._joining.append(sequence)

    def next(self) -> list[DrawnToken]:
        """Draw a token of each request; two of one that moves from alone into the batch."""
        joining, self._joining = self._joining, []
        settled: list[DrawnToken] = []
        if joining and self._solo is not None:
            drawn, rest = self._solo.settle()
            self._solo = None
            settled.append(drawn)
            joining = joining if rest is None else [rest, *joining]
        if len(joining) == 1 and not self._uids:
            self._solo = SoloDecoder(self._network, joining[0])
        elif joining:
            self._insert(joining)
        if self._solo is not None:
            drawn = self._solo.next()
            if drawn.finish_reason is not None:
                self._solo = None
            return [*settled, drawn]
        return [*settled, *self._next_of_batch()] if self._uids else settled

    def copy_of(self, uid: int) -> tuple[list[int], Layers] | None:
        """Return tokens and a copy of the cache of a running request."""
        for sequence in self._joining:
            if sequence.uid == uid:
                return sequence.tokens, snapshot(sequence.layers)
        if self._solo is not None and self._solo.sequence.uid == uid:
            return list(self._solo.tokens), snapshot(self._solo.sequence.layers)
        for inner, outer in self._uids.items():
            if outer == uid:
                layers, tokens = self._generator.extract_cache([inner])[inner]
                return list(tokens), layers
        return None

    def remove(self, uid: int) -> tuple[list[int], Layers] | None:
        """Take a request out; return what its cache holds and the cache."""
        for sequence in self._joining:
            if sequence.uid == uid:
                self._joining.remove(sequence)
                return sequence.tokens, sequence.layers
        if self._solo is not None and self._solo.sequence.uid == uid:
            solo, self._solo = self._solo, None
            return solo.tokens, solo.sequence.layers
        for inner, outer in self._uids.items():
            if outer == uid:
                layers, tokens = self._generator.remove([inner], return_prompt_caches=True)[inner]
                del self._uids[inner]
                return list(tokens), layers
        return None

    def close(self) -> None:
        """Drop every cache."""
        self._joining, self._solo, self._uids = [], None, {}
        if self._generator is not None:
            self._generator.close()
            self._generator = None

    def _insert(self, sequences: list[DecodingSequence]) -> None:
        if self._generator is None:
            self._generator = BatchGenerator(
                self._network,
                completion_batch_size=self._batch_size,
                # Requests that join together join at once: one token is left of each prompt, so nothing is padded.
                prefill_batch_size=self._batch_size,
            )
        inner = self._generator.insert(
            [[sequence.next_token] for sequence in sequences],
            max_tokens=[sequence.max_tokens for sequence in sequences],
            caches=[sequence.layers for sequence in sequences],
            all_tokens=[list(sequence.tokens) for sequence in sequences],
            samplers=[sequence.sampler for sequence in sequences],
            logits_processors=[list(sequence.processors) for sequence in sequences],
            stop_sequences=[sequence.stops for sequence in sequences],
        )
        self._uids |= zip(inner, (sequence.uid for sequence in sequences), strict=True)

    def _next_of_batch(self) -> list[DrawnToken]:
        _, responses = self._generator.next()
        drawn: list[DrawnToken] = []
        for response in responses:
            uid = self._uids[response.uid]
            kept = None
            if response.finish_reason is not None:
                del self._uids[response.uid]
                kept = (list(response.all_tokens), response.prompt_cache)
            drawn.append(DrawnToken(uid, checked(response.token, response.logprobs), response.finish_reason, kept))
        return drawn
