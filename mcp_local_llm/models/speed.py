"""The speed of models: measured on this machine and kept in a file, or estimated (decode speed alone).

A measurement belongs to a model, its size on disk, and the versions of mlx and mlx-lm. It must not know engines; the
versions are read from package metadata.
"""

import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast

from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.setup.replaced_file import replace_file
from mcp_local_llm.values.model import ModelInfo

DENSE_SHARE = 0.7
"""Measured decode speed as a share of the bandwidth limit, dense models: 63 to 80 % (mlx-lm, BENCHMARKS.md, M4 Max)."""


SPARSE_SHARE = 0.43
"""The same for mixtures of experts (Qwen3-30B-A3B, the same source)."""


TYPICAL_CONTEXT = 2048
"""Tokens of context that a speed estimate assumes, as in that source; the KV cache is read for each token."""


@dataclass(frozen=True)
class Speed:
    """Decode speed in tokens per second: measured on this machine, or estimated."""

    tokens_per_second: float
    measured: bool = False

    @property
    def word(self) -> str:
        """One word for it: instant from 30, fast from 18, moderate from 8, slow below."""
        for least, word in ((30, "instant"), (18, "fast"), (8, "moderate")):
            if self.tokens_per_second >= least:
                return word
        return "slow"

    def __str__(self) -> str:
        rate = f"{self.tokens_per_second:.{0 if self.tokens_per_second >= 10 else 1}f}"
        return f"{'' if self.measured else '~'}{rate} tok/s ({self.word})"


MIN_TOKENS = 32
"""The fewest tokens of an answer whose speed is measured."""

MIN_PROMPT_TOKENS = 512
"""The fewest computed tokens of a prompt whose prefill is measured; a short one is mostly fixed cost."""

SAMPLES = 5
"""Speeds that are kept for one model. The best is shown: other programs only ever make an answer slower."""

SAVE_SHARE = 0.05
"""Change of the best that is worth a write of the file, for which an answer waits."""

MAX_MODELS = 100
"""Models in the file; the one that was written longest ago is removed first."""

MAX_BYTES = 2**20
"""The most bytes of the file."""

_LOG = logging.getLogger(__name__)


def engine_versions() -> str:
    """Return the versions that a measurement depends on, e.g. `mlx 0.32.4, mlx-lm 0.32.2`."""
    return ", ".join(f"{name} {_version(name)}" for name in ("mlx", "mlx-lm"))


class SpeedFile:
    """The file of measured speeds. Several processes may write it; a lost measurement does no harm."""

    def __init__(
        self, path: Path, versions: Callable[[], str] = engine_versions, least_tokens: int = MIN_TOKENS
    ) -> None:
        """Make the file's reader and writer; nothing is read yet.

        Args:
            path: of the file.
            versions: finds the versions that a measurement depends on.
            least_tokens: fewer tokens measure nothing.
        """
        self.path = path
        self._least_tokens = least_tokens
        self._find_versions = versions
        self._saved: dict[str, list[float]] = {}
        self._unsaved: dict[str, list[float]] = {}
        self._warned = False

    def measured(self) -> Callable[[ModelInfo], Speed | None]:
        """Read the file once, and return a function that looks up a model's speed, None for no measurement."""
        samples = self._read() or {}

        def speed(model: ModelInfo) -> Speed | None:
            key = self._key(model)
            own = _joined(samples.get(key, []), self._unsaved.get(key, []))
            return Speed(max(own), measured=True) if own else None

        return speed

    def add(self, model: ModelInfo, tokens: int, tokens_per_second: float) -> bool:
        """Add the speed of one answer with enough tokens; return whether to call `save`. Never waits.

        Args:
            model: the model that answered.
            tokens: number of tokens that the speed was measured with.
            tokens_per_second: of decode or prefill, whichever the file keeps.
        """
        if tokens < self._least_tokens or not (math.isfinite(tokens_per_second) and tokens_per_second > 0):
            return False
        key = self._key(model)
        unsaved = self._unsaved[key] = _joined(self._unsaved.get(key, []), [round(tokens_per_second, 2)])
        saved = self._saved.get(key)
        return saved is None or abs(max(_joined(saved, unsaved)) / max(saved) - 1) > SAVE_SHARE

    def save(self) -> None:
        """Write the added speeds; a file that cannot be written is a warning."""
        samples, unsaved = self._read(), self._unsaved
        if samples is None:
            return  # What cannot be read must not be replaced: it may hold the speeds of years.
        self._unsaved = {}
        for key, speeds in unsaved.items():
            # Moved to the end: the file is in the order of writing.
            self._saved[key] = samples[key] = _joined(samples.pop(key, []), speeds)
        try:
            self._write(dict([*samples.items()][-MAX_MODELS:]))
        except OSError as error:
            self._warn(f"{self.path} cannot be written ({error.strerror}); measured speeds are not kept.")

    def _read(self) -> dict[str, list[float]] | None:
        """Return key → speeds, oldest model first; empty for a missing or broken file, None where it can't be read."""
        try:
            value: object = json.loads(read_regular(self.path, MAX_BYTES))
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._warn(f"{self.path} cannot be read ({error.strerror}); measured speeds are not kept. Remove it.")
            return None
        except (ValueError, RecursionError):
            self._warn(f"{self.path} cannot be read; measured speeds start anew.")
            return {}
        entries = cast(dict[object, object], value) if isinstance(value, dict) else {}
        samples = {key: speeds for key, entry in entries.items() if isinstance(key, str) and (speeds := _speeds(entry))}
        if not isinstance(value, dict) or len(samples) < len(entries):
            self._warn(f"{self.path} holds something else than speeds; that part is passed over.")
        return samples

    def _write(self, samples: dict[str, list[float]]) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self.path, json.dumps(samples, indent=1).encode(), durable=False)

    def _key(self, model: ModelInfo) -> str:
        return f"{model.id} ({model.weight_bytes} bytes, {self._versions})"

    @cached_property
    def _versions(self) -> str:
        return self._find_versions()

    def _warn(self, sentence: str) -> None:
        """Log the warning once, since the file is read for every list."""
        if not self._warned:
            self._warned = True
            _LOG.warning(sentence)


def _joined(older: list[float], newer: list[float]) -> list[float]:
    return [*older, *newer][-SAMPLES:]


def _speeds(entry: object) -> list[float]:
    """Return the speeds of one entry; empty where it contains another value."""
    values = cast(list[object], entry) if isinstance(entry, list) else []
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    sound = len(numbers) == len(values) and all(math.isfinite(number) and number > 0 for number in numbers)
    return numbers[-SAMPLES:] if sound else []


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def estimate_speed(model: ModelInfo, bandwidth: float | None) -> Speed | None:
    """Estimate the decode speed of one stream.

    For each token the active weights and the KV cache are read once, so bandwidth divided by bytes is the limit; the
    share of it that is reached was measured (DENSE_SHARE, SPARSE_SHARE).

    Args:
        model: with the sizes of its files.
        bandwidth: of the memory, in bytes per second; None where it is not known.

    Returns:
        The speed; None where bandwidth or sizes are not known.
    """
    read = (model.active_bytes or model.weight_bytes) + TYPICAL_CONTEXT * (model.kv_bytes_per_token or 0)
    if not bandwidth or not model.weight_bytes:
        return None
    return Speed(bandwidth / read * (SPARSE_SHARE if model.sparse else DENSE_SHARE))
