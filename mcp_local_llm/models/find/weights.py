"""Counts the parameters and bytes of a model from the headers of its weight files, and the part that one token uses.

A packed matrix is counted by the parameters that it encodes: MLX keeps `weight` as 32-bit words beside `scales` (one
for each group of weights), GPTQ and AWQ keep `qweight`, and gpt-oss keeps `_blocks` of two 4-bit values to a byte.
"""

import json
import re
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, cast

from mcp_local_llm.models.find.files import (
    JsonObject,
    UnreadableError,
    count_of,
    is_lfs_pointer,
    lfs_pointer,
    section,
)
from mcp_local_llm.setup.regular_file import open_regular
from mcp_local_llm.values.model import Quantization, human_bytes


class Tensor(NamedTuple):
    """One tensor of a header; `nbytes` on disk. A tuple, for speed: a file may have tens of thousands."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int


# Routed experts only: `shared_experts`, which every token uses, is another path part.
_EXPERT_PATH = re.compile(r"(?:^|\.)(?:experts|switch_mlp|switch_glu)(?:\.|$)")
_SIDE_TENSORS = frozenset({"scales", "biases", "qzeros", "g_idx", "weight_scale", "weight_scale_inv", "weight_scale_2"})


@dataclass(frozen=True)
class Weights:
    """Sums over all tensors. `quantization` is the one of most packed parameters; None for no packed ones."""

    parameters: int
    active_parameters: int
    active_bytes: int
    quantization: Quantization | None


def weigh(tensors: Iterable[Tensor], config: JsonObject) -> Weights:
    """Count parameters and bytes, in total and for one token.

    The active part is `num_experts_per_tok` of `num_experts` of the routed experts, and all other parameters with
    embeddings, as in the names of models (30B-A3B: 3.3 of 30.5 billion).

    Args:
        tensors: of all weight files together.
        config: the model's config.json, as `text_part` returns it.
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    packing = section(config, "quantization")
    experts = count_of(config, "num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
    chosen = count_of(config, "num_experts_per_tok", "num_experts_per_token", "moe_topk", "top_k_experts", "moe_top_k")
    packed: Counter[Quantization] = Counter()
    total = total_bytes = routed = routed_bytes = 0
    for tensor in by_name.values():
        quantization = _packed_as(tensor, by_name, packing)
        count = _count(tensor, by_name, quantization, config)
        if quantization:
            packed[quantization] += count
        total += count
        total_bytes += tensor.nbytes
        if experts and _is_expert(tensor, experts):
            routed += count
            routed_bytes += tensor.nbytes
    if not experts or not chosen or chosen >= experts:
        experts = chosen = 1
    return Weights(
        parameters=total,
        active_parameters=total - routed + routed * chosen // experts,
        active_bytes=total_bytes - routed_bytes + routed_bytes * chosen // experts,
        quantization=packed.most_common(1)[0][0] if packed else None,
    )


def _is_expert(tensor: Tensor, experts: int) -> bool:
    stacked = len(tensor.shape) == 3 and tensor.shape[0] == experts > 1
    return stacked or _EXPERT_PATH.search(tensor.name) is not None


def _packed_as(tensor: Tensor, by_name: dict[str, Tensor], packing: JsonObject) -> Quantization | None:
    """Return the quantization of a matrix that MLX packed; its own entry in config.json wins over the default."""
    module, _, leaf = tensor.name.rpartition(".")
    scales = by_name.get(f"{module}.scales")
    if leaf != "weight" or tensor.dtype != "U32" or scales is None or not scales.shape or not tensor.shape:
        return None
    own = section(packing, module) or packing
    group_size = count_of(own, "group_size") or 64
    columns = scales.shape[-1] * group_size
    mode = own.get("mode")
    if not isinstance(mode, str):
        # Only affine packing has biases; mxfp4 is the oldest mode without, and old files do not name it.
        mode = "affine" if f"{module}.biases" in by_name else "mxfp4"
    return Quantization(round(tensor.shape[-1] * 32 / columns) if columns else 0, group_size, mode)


def _count(tensor: Tensor, by_name: dict[str, Tensor], quantization: Quantization | None, config: JsonObject) -> int:
    """Count the parameters that a tensor encodes; scales and zero points encode none."""
    module, _, leaf = tensor.name.rpartition(".")
    if quantization:
        return prod(by_name[f"{module}.scales"].shape) * (quantization.group_size or 1)
    if leaf in _SIDE_TENSORS and any(f"{module}.{kind}" in by_name for kind in ("weight", "qweight", "weight_packed")):
        return 0
    if tensor.name.endswith("_scales") and tensor.name.removesuffix("scales") + "blocks" in by_name:
        return 0
    if leaf in ("qweight", "weight_packed") and tensor.dtype == "I32":
        return prod(tensor.shape) * 32 // (count_of(section(config, "quantization_config"), "bits") or 4)
    if tensor.dtype == "U8" and (leaf in ("weight", "weight_packed") or tensor.name.endswith("_blocks")):
        return prod(tensor.shape) * 2
    return prod(tensor.shape)


_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 8),
}
"""Bits of a value of the types that MLX reads."""

MAX_DIMENSIONS = 16
"""The most dimensions of a tensor; the weights of models have up to five."""

MAX_HEADER_BYTES = 100_000_000
"""The most bytes of a header that the safetensors library accepts."""


def read_tensors(path: Path) -> list[Tensor]:
    """Read the names, types and shapes of all tensors of a file.

    Raises:
        UnreadableError: the file is not safetensors, or shorter than its header says (a partial download).
    """
    try:
        size = path.stat().st_size
        with open_regular(path) as file:
            start = file.read(8)
            if is_lfs_pointer(path):
                raise UnreadableError(lfs_pointer(path.name, "weights"))
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(MAX_HEADER_BYTES, max(size - 8, 0)):
                raise UnreadableError(f"{path.name} is not a safetensors file")
            header: object = json.loads(file.read(length))
    except OSError as error:
        raise UnreadableError(f"{path.name} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{path.name} is not a safetensors file") from error
    try:
        tensors, end = _tensors(cast(dict[str, Any], header))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableError(f"{path.name} has a broken header") from error
    if 8 + length + end > size:
        needed = human_bytes(8 + length + end)
        raise UnreadableError(f"{path.name} is cut off: {human_bytes(size)} of {needed} are here")
    return tensors


def _tensors(header: dict[str, Any]) -> tuple[list[Tensor], int]:
    """Return the tensors of a header, and the offset at which the last one ends.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: an entry is not what the format says: sizes and offsets are
            whole numbers, a tensor is as long as its type and shape say, and none lies in another.
    """
    tensors: list[Tensor] = []
    places: list[tuple[int, int]] = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        dtype, shape = str(entry["dtype"]), tuple(entry["shape"])
        if any(type(number) is not int or number < 0 for number in (first, last, *shape)):
            raise ValueError("a size is no whole number")
        if len(shape) > MAX_DIMENSIONS or last < first:
            raise ValueError("no tensor has such a shape or place")
        # A type that is not in the table is left to MLX.
        if dtype in _BITS and (last - first) * 8 != _BITS[dtype] * prod(shape):
            raise ValueError("a tensor is longer or shorter than its shape")
        tensors.append(Tensor(name, dtype, shape, last - first))
        places.append((first, last))
    places.sort()
    if any(start < end for (_, end), (start, _) in pairwise(places)):
        raise ValueError("two tensors overlap")
    return tensors, max((last for _, last in places), default=0)
