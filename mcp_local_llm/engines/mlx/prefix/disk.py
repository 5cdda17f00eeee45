"""Keeps long prefixes on the disk, where they outlive an unload, a switch of models and the process.

Read and written with mlx-lm's own functions (safetensors, nothing that could run). A file that cannot be
read never fails a request: the prompt is computed, and the log says why. Runs on the MLX thread only.
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import version
from typing import Any, cast

import mlx.core as mx
from mlx.utils import tree_map
from mlx_lm.models.cache import (
    ArraysCache,
    CacheList,
    ChunkedKVCache,
    KVCache,
    QuantizedKVCache,
    RotatingKVCache,
    load_prompt_cache,
    make_prompt_cache,
    save_prompt_cache,
)

from mcp_local_llm.engines.mlx.limits import PrefixDiskLimits
from mcp_local_llm.engines.mlx.load.kv_cache import Layers, cut_back, held_bytes
from mcp_local_llm.engines.mlx.load.weights import LoadedModel
from mcp_local_llm.engines.mlx.prefix.cache import PrefixEntry
from mcp_local_llm.engines.mlx.prefix.disk_files import (
    TOKEN_BYTES,
    PrefixFile,
    PrefixFiles,
    WriteCancelled,
    metadata_of,
)
from mcp_local_llm.engines.mlx.prompt.checkpoints import CheckpointKind
from mcp_local_llm.values.model import human_bytes

FORMAT = 1
"""Of our files; another number, and the old ones are not found any more and go when room is needed."""

LEAST_TOKENS = 1024
"""Tokens that must be saved for a file to be written or read; below, neither is noticed.

Reading is 100 times as fast as computing on a CPU (docs/overhead.md). On a fast GPU it is about 4 times, by estimate:
a model of 4B has 147 kB of KV a token, a disk gives 1 GB/s with the checksum, and an M4 Max computes 1,600 tokens a
second (mlx-lm's BENCHMARKS.md).
"""

GROWTH = 4
"""What the disk knows of a conversation is written anew once a quarter has been added: all that is ever written of one
is at most five times its length, and at most a fifth of it is computed again."""

HEADER_BYTES = 64 * 2**10
"""Room for a file's header, its tokens aside."""

RESTORED = (KVCache, QuantizedKVCache, RotatingKVCache, ArraysCache, ChunkedKVCache)
"""Classes that `load_prompt_cache` of mlx-lm 0.32 gives back as they were. It looks a class up by name among its own:
those of single models (`LayerCache` of deepseek_v41) are lost to it. `ConcatenateKVCache` fails where it is empty."""

log = logging.getLogger(__name__)


def open_prefix_disk(model: LoadedModel, limits: PrefixDiskLimits | None) -> "PrefixDisk | None":
    """Return the disk tier of a model; None where it is switched off, or mlx-lm cannot bring such caches back."""
    if limits is None:
        return None
    layers: Layers = make_prompt_cache(model.network)
    lost = {type(layer).__name__ for layer in _innermost(layers) if type(layer) not in RESTORED}
    if lost:
        names, model_id = ", ".join(sorted(lost)), model.info.id
        log.warning("Prompts of %s are not kept on the disk: mlx-lm cannot read back its %s.", model_id, names)
        return None
    try:
        return PrefixDisk(PrefixFiles(limits.folder, folder_name(model), limits.nbytes))
    except OSError as error:
        log.warning("Prompts of %s are not kept on the disk: %s.", model.info.id, error)
        return None


def folder_name(model: LoadedModel) -> str:
    """Name the folder of all prefixes that fit this model and nothing else, by its id and a digest.

    Weights, tokenizer and chat template are the files of the model's folder. They are told by name, size and times, not
    read: the kernel sets a file's change time with every write and no program sets it back, and a blob of the hub's
    cache has its hash for a name. So a change is never missed, and a touched file costs one computation. Versions and
    device belong to it because the form of the file, and the rounding of what is in it, is theirs.
    """
    files = sorted(path for path in model.info.path.iterdir() if not path.name.startswith("."))
    parts = [
        FORMAT,
        (version("mlx-lm"), version("mlx"), str(mx.default_device())),
        repr(model.kv),
        [
            (path.name, path.resolve().name, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            for path in files
            if (status := path.stat())
        ],
    ]
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", model.info.id).strip(".-")[:64]
    return f"{readable}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]}"


class PrefixDisk:
    """The prefixes of one model on the disk; see `cache.DiskTier`."""

    def __init__(self, files: PrefixFiles) -> None:
        self._files = files
        self._told: set[str] = set()

    def take(self, key: bytes, limit: int, known: int) -> PrefixEntry | None:
        """Read the first tokens of `key`, up to `limit`, where the disk has `LEAST_TOKENS` more than the `known` ones.

        Decoding waits meanwhile; computing the prompt would delay it longer.
        """
        if limit - known < LEAST_TOKENS:
            return None
        found = [(file.serves(key, limit), file) for file in self._known()]
        for length, file in sorted(found, key=lambda one: (-one[0], one[1].length)):
            if length - known < LEAST_TOKENS:
                break
            layers = self._read(file, length)
            if layers is not None:
                self._files.used(file)
                nbytes, kind = held_bytes(layers), cast(CheckpointKind, file.kind)
                return PrefixEntry(key[: length * TOKEN_BYTES], length, layers, nbytes, file.trimmable, kind)
            self._files.remove(file)
        return None

    def save(self, entry: PrefixEntry, cancelled: Callable[[], bool]) -> bool:
        """Write an entry if the disk cannot serve most of it already; False where it was given up half-way.

        Raises:
            RuntimeError: MLX could not compute what was to be written.
        """
        if entry.length < LEAST_TOKENS:
            return True
        files = self._known()
        served = max((file.serves(entry.key, entry.length) for file in files), default=0)
        if entry.length - served < max(LEAST_TOKENS, served // GROWTH):
            return True
        nbytes = entry.nbytes + 2 * len(entry.key) + HEADER_BYTES
        if nbytes > self._files.limit_bytes:
            size, allowed = human_bytes(nbytes), human_bytes(self._files.limit_bytes)
            self._tell_once(f"A prompt's KV cache takes {size}; prefix_disk_mb allows {allowed}. It is not written.")
            return True
        metadata = metadata_of(entry.key, trimmable=entry.trimmable, kind=entry.kind)
        try:
            self._files.write(nbytes, partial(save_prompt_cache, cache=entry.layers, metadata=metadata), cancelled)
        except WriteCancelled:
            return False
        except OSError as error:
            self._tell_once(f"Prompts cannot be kept on the disk: {error}.")
            return True
        for file in files:
            if entry.trimmable and file.superseded_by(entry.key):
                self._files.remove(file)
        return True

    def _known(self) -> list[PrefixFile]:
        try:
            return self._files.known()
        except OSError as error:
            self._tell_once(f"Prompts that were kept on the disk cannot be used: {error}.")
            return []

    def _read(self, file: PrefixFile, length: int) -> Layers | None:
        """Read the first `length` tokens of a file; None where it is not what it says."""
        try:
            if not self._files.intact(file):
                raise ValueError("its checksum is another")
            loaded = load_prompt_cache(str(file.path), return_metadata=True)
            layers, metadata = cast(tuple[Layers, dict[str, str]], loaded)
            if metadata != metadata_of(file.key, trimmable=file.trimmable, kind=file.kind):
                raise ValueError("its tokens are others")
            if length < file.length:
                cut_back(layers, file.length - length)
            for layer in layers:
                _settle(layer)
        except (OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            # What a file can make mlx-lm raise; none of it concerns the request, which is computed instead.
            log.info("%s is not used: %s", file.path, error)
            return None
        return layers

    def _tell_once(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            log.warning("%s", sentence)


def _settle(layer: Any) -> None:
    """Read one layer from its file, and let go of what was cut away from it before the next one is read."""
    if type(layer) in (KVCache, QuantizedKVCache) and layer.keys is not None:
        layer.keys, layer.values = tree_map(mx.contiguous, (layer.keys, layer.values))
    mx.eval(layer.state)


def _innermost(layers: Iterable[Any]) -> Layers:
    """Take lists of caches apart."""
    return [inner for layer in layers for inner in (_innermost(layer.caches) if type(layer) is CacheList else [layer])]
