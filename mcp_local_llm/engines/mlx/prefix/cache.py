"""Keeps the KV caches of prompts for reuse, in memory.

mlx-lm's own `LRUPromptCache` keeps an order of insertion, not of use, and its search is quadratic in the tokens behind
a fork (0.4 s at 32k); this one compares bytes and knows when an entry was used. Runs on the MLX thread only.
"""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from mcp_local_llm.engines.mlx.load.kv_cache import Layers, cut_back, held_bytes, snapshot, trimmable_now
from mcp_local_llm.engines.mlx.prompt.checkpoints import CheckpointKind
from mcp_local_llm.engines.mlx.prompt.common_prefix import alike

MAX_ENTRIES = 64
"""Each look-up compares the prompt with every entry: a few microseconds apiece."""

OPENING = 32
"""Tokens at the end of a prompt, the opening of the answer, that the next prompt of the conversation may lack."""


_ITEM = array("i").itemsize


@dataclass(eq=False)
class PrefixEntry:
    """A prefix in memory.

    Attributes:
        key: its tokens, as bytes that can be compared.
        prompt: how many of them were sent; the others are the answer. 0: not known.
        settled: nothing of it has to be written to the disk.
    """

    key: bytes
    length: int
    layers: Layers
    nbytes: int
    trimmable: bool
    kind: CheckpointKind
    used: int = 0
    settled: bool = False
    prompt: int = 0

    def continued_by(self, key: bytes, prompt: int) -> bool:
        """Whether `key` is a later prompt of the same conversation, which then needs this entry no more.

        The system part and files serve other conversations as well, whatever becomes of this one.
        """
        if self.kind in ("system", "files") or not OPENING < self.prompt < prompt - OPENING:
            return False
        return _shared(self.key, key) >= self.prompt - OPENING


class DiskTier(Protocol):
    """Keeps long prefixes on the disk; `PrefixDisk` implements it, and imports `PrefixEntry` from here."""

    def take(self, key: bytes, limit: int, known: int) -> PrefixEntry | None:
        """Return the first tokens of `key`, up to `limit`, where that is worth more than the `known` first ones."""
        ...

    def save(self, entry: PrefixEntry, cancelled: Callable[[], bool]) -> bool:
        """Write an entry if that is worth it; False where it was given up because `cancelled` said so."""
        ...


class PrefixCache:
    """Evicts the least recently used prefixes first; the byte budget is shared with the KV of running requests.

    Before these go the prefixes of conversations that went on from there: a subagent with twenty turns evicts its own
    past, and not the prefix of the main conversation that waits for it.

    A cache that can be trimmed (plain attention) serves every prompt that begins like it. One that cannot (state
    space layers, a sliding window that has wrapped) serves only prompts that continue it to the last token; for those
    the checkpoints at the ends of system part, files and last user turn make hits possible at all.

    A disk tier may extend it: it is read where it holds a much longer prefix, and written while the thread is idle
    (`save_next`).
    """

    def __init__(self, budget_bytes: int, disk: DiskTier | None = None) -> None:
        self._budget_bytes = budget_bytes
        self._disk = disk
        self._entries: list[PrefixEntry] = []
        self._leaving: list[PrefixEntry] = []
        self._uses = 0

    @property
    def nbytes(self) -> int:
        """Bytes that all entries hold."""
        return sum(entry.nbytes for entry in self._entries)

    @property
    def unsaved(self) -> bool:
        """Whether `save_next` would do anything."""
        return self._disk is not None and (self.leaving or any(not entry.settled for entry in self._entries))

    @property
    def leaving(self) -> bool:
        """Whether entries without a place in memory wait to be written; the next request drops them."""
        return bool(self._leaving)

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
        stored = None if self._disk is None else self._disk.take(key, limit, best_length)
        if stored is not None:
            if not stored.trimmable:
                # The caller extends its cache, which then serves no other prompt; this copy does.
                self._add(replace(stored, layers=snapshot(stored.layers)))
            return stored.layers, tokens[stored.length :]
        if best is None:
            return None, tokens
        self._touch(best)
        return _copy_of(best, best_length), tokens[best_length:]

    def longest(self, tokens: list[int]) -> int:
        """Count the tokens that `take` would find computed."""
        key = _key(tokens)
        found = [(_shared(entry.key, key), entry) for entry in self._entries]
        return max((shared for shared, entry in found if entry.trimmable or shared == entry.length), default=0)

    def put(self, tokens: list[int], layers: Layers, kind: CheckpointKind = "answer", prompt: int = 0) -> None:
        """Keep `layers`, which hold exactly `tokens` and are not written to any more; see `PrefixEntry.prompt`."""
        if not tokens:
            return
        nbytes, prompt = held_bytes(layers), min(prompt, len(tokens))
        entry = PrefixEntry(_key(tokens), len(tokens), layers, nbytes, trimmable_now(layers), kind, prompt=prompt)
        self._add(entry)
        self.continued(tokens, prompt)

    def continued(self, tokens: list[int], prompt: int) -> None:
        """Let the entries that are continued by this prompt go before all others, should room be needed."""
        key = _key(tokens)
        for entry in self._entries:
            if entry.continued_by(key, prompt):
                entry.used = 0

    def make_room(self, live_bytes: int) -> None:
        """Drop entries until they and `live_bytes` of running requests fit the budget together."""
        self.keep(self._budget_bytes - live_bytes)

    def keep(self, nbytes: int) -> None:
        """Drop entries until the others take at most `nbytes`."""
        self.drop_evicted()
        self._shrink(nbytes)

    def save_next(self, cancelled: Callable[[], bool]) -> None:
        """Write one entry to the disk, unless that is not worth it; evicted entries come first."""
        assert self._disk is not None, "only where something is unsaved"
        # In the order of use, so that the files' ages have the same order.
        entry = (self._leaving or sorted((one for one in self._entries if not one.settled), key=_used))[0]
        entry.settled = self._disk.save(entry, cancelled)
        if entry.settled:
            self._leaving = self._leaving[1:]

    def drop_evicted(self) -> None:
        """Drop the evicted entries that were not written yet."""
        self._leaving = []

    def _add(self, new: PrefixEntry) -> None:
        for entry in self._entries:
            if entry.key == new.key or (new.trimmable and entry.trimmable and entry.key.startswith(new.key)):
                self._touch(entry)
                return
        if new.trimmable:
            # What the new entry begins with, it can serve by itself.
            self._entries = [
                entry for entry in self._entries if not (entry.trimmable and new.key.startswith(entry.key))
            ]
        if new.nbytes <= self._budget_bytes:
            self._touch(new)
            self._entries.append(new)
            left = self._shrink(self._budget_bytes)
        else:
            left = [new]  # It would evict all others, and then itself.
        if self._disk is not None:
            self._leaving += [entry for entry in left if not entry.settled]

    def _touch(self, entry: PrefixEntry) -> None:
        self._uses += 1
        entry.used = self._uses

    def _shrink(self, nbytes: int) -> list[PrefixEntry]:
        """Evict the least recently used entries until the others take at most `nbytes`; return them."""
        left: list[PrefixEntry] = []
        held = self.nbytes
        while self._entries and (held > nbytes or len(self._entries) > MAX_ENTRIES):
            oldest = min(self._entries, key=_used)
            self._entries.remove(oldest)
            held -= oldest.nbytes
            left.append(oldest)
        return left


def _used(entry: PrefixEntry) -> int:
    return entry.used


def _key(tokens: list[int]) -> bytes:
    return array("i", tokens).tobytes()


def _shared(one: bytes, other: bytes) -> int:
    """Count the tokens with which both begin."""
    return alike(one, other) // _ITEM


def _copy_of(entry: PrefixEntry, length: int) -> Layers:
    """Return the first `length` tokens of an entry."""
    layers = snapshot(entry.layers)
    if length < entry.length:
        cut_back(layers, entry.length - length)
    return layers
