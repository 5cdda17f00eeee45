"""Keep the KV caches of prompts, so that what was computed once is not computed again.

mlx-lm's own `LRUPromptCache` keeps an order of insertion, not of use, and its search is quadratic in the tokens behind
a fork (0.4 s at 32k); this one compares bytes and knows when an entry was used. Runs on the MLX thread only.
"""

import copy
from array import array
from dataclasses import dataclass
from typing import Any, Literal

from mlx_lm.models.cache import KVCache, can_trim_prompt_cache, trim_prompt_cache

from mcp_local_llm.engines.mlx.alike import alike

MAX_ENTRIES = 64
"""Each look-up compares the prompt with every entry: a few microseconds apiece."""

Layers = list[Any]
"""mlx-lm's cache objects, one a layer."""

Kind = Literal["system", "files", "user", "answer"]
"""What an entry ends with. `answer` also stands for a prompt that was given up half-way."""

_ITEM = array("i").itemsize


@dataclass(eq=False)
class _Entry:
    key: bytes
    length: int
    layers: Layers
    nbytes: int
    trimmable: bool
    kind: Kind
    used: int


class PrefixCache:
    """The least recently used prefixes go first; the byte budget is shared with the KV of running requests.

    A cache that can be trimmed (plain attention) serves every prompt that begins like it. One that cannot (state
    space layers, a sliding window that has wrapped) serves only prompts that continue it to the last token; for those
    the checkpoints at the ends of system part, files and last user turn make hits possible at all.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._entries: list[_Entry] = []
        self._uses = 0

    @property
    def nbytes(self) -> int:
        """Bytes that all entries hold."""
        return sum(entry.nbytes for entry in self._entries)

    def take(self, tokens: list[int]) -> tuple[Layers | None, list[int]]:
        """Return a copy of the longest known prefix's cache and the tokens that remain to compute (never none)."""
        key = _key(tokens)
        # One token is always computed: the first of the answer comes out of it.
        limit = len(tokens) - 1
        best, best_length = None, 0
        for entry in self._entries:
            shared = _shared(entry.key, key)
            if shared == entry.length and entry.kind == "system":
                self._touch(entry)
            length = min(shared, limit) if entry.trimmable else shared if shared == entry.length <= limit else 0
            if length > best_length or (best is not None and length == best_length and entry.length < best.length):
                best, best_length = entry, length
        if best is None:
            return None, tokens
        self._touch(best)
        return _copy_of(best, best_length), tokens[best_length:]

    def longest(self, tokens: list[int]) -> int:
        """Count the tokens that `take` would find computed."""
        key = _key(tokens)
        found = [(_shared(entry.key, key), entry) for entry in self._entries]
        return max((shared for shared, entry in found if entry.trimmable or shared == entry.length), default=0)

    def put(self, tokens: list[int], layers: Layers, kind: Kind = "answer") -> None:
        """Keep `layers`, which hold exactly `tokens` and are not written to any more."""
        if not tokens:
            return
        key, trimmable = _key(tokens), can_trim_prompt_cache(layers)
        for entry in self._entries:
            if entry.key == key or (trimmable and entry.trimmable and entry.key.startswith(key)):
                self._touch(entry)
                return
        if trimmable:
            # What the new entry begins with, it can serve by itself.
            self._entries = [entry for entry in self._entries if not (entry.trimmable and key.startswith(entry.key))]
        entry = _Entry(key, len(tokens), layers, sum(layer.nbytes for layer in layers), trimmable, kind, 0)
        self._touch(entry)
        self._entries.append(entry)
        self._shrink(self._budget_bytes)

    def make_room(self, live_bytes: int) -> None:
        """Drop entries until they and `live_bytes` of running requests fit the budget together."""
        self._shrink(self._budget_bytes - live_bytes)

    def keep(self, nbytes: int) -> None:
        """Drop entries until the others take at most `nbytes`."""
        self._shrink(nbytes)

    def _touch(self, entry: _Entry) -> None:
        self._uses += 1
        entry.used = self._uses

    def _shrink(self, nbytes: int) -> None:
        held = self.nbytes
        while self._entries and (held > nbytes or len(self._entries) > MAX_ENTRIES):
            oldest = min(self._entries, key=lambda entry: entry.used)
            self._entries.remove(oldest)
            held -= oldest.nbytes


def snapshot(layers: Layers) -> Layers:
    """Copy cache objects as they are now; the arrays are shared until one side writes into its own."""
    return copy.deepcopy(layers)


def trimmable_for_good(layers: Layers) -> bool:
    """Whether these caches can be cut back at any length: plain attention in every layer, no window, no state."""
    return all(type(layer) is KVCache for layer in layers)


def _key(tokens: list[int]) -> bytes:
    return array("i", tokens).tobytes()


def _shared(one: bytes, other: bytes) -> int:
    """Count the tokens with which both begin."""
    return alike(one, other) // _ITEM


def _copy_of(entry: _Entry, length: int) -> Layers:
    """Return the first `length` tokens of an entry."""
    layers = snapshot(entry.layers)
    if length == entry.length:
        return layers
    trim_prompt_cache(layers, entry.length - length)
    for layer in layers:
        if type(layer) is KVCache and layer.keys is not None and layer.values is not None:
            # The first write copies what it writes into; the part behind the fork need not be copied with it.
            layer.keys = layer.keys[..., : layer.offset, :]
            layer.values = layer.values[..., : layer.offset, :]
    return layers
