"""The weights of an mlx-lm folder as tensors of a GGUF file (github.com/huggingface/safetensors for what is read)."""

import json
import struct
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import gguf_file
from training.gguf_file import Tensor

Q4_1_GROUP = 32
"""Weights that share a scale and an offset in Q4_1 (ggml-common.h, block_q4_1)."""
_BLOCK = np.dtype([("scale", "<f2"), ("offset", "<f2"), ("codes", "u1", (Q4_1_GROUP // 2,))])
_TYPES = {"BF16": "<u2", "F32": "<f4", "U32": "<u4"}

_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_LAYER_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def read_tensors(path: Path, quantization: Mapping[str, Any] | None) -> list[Tensor]:
    """Describe the weights of the file `path`, under llama.cpp's names.

    Args:
        path: a safetensors file.
        quantization: what the folder's config.json says of it; None where nothing is quantized.

    Raises:
        ValueError: the weights are in a format that has no equal here.
    """
    stored = _read(path)
    tensors: list[Tensor] = []
    for name, array in stored.items():
        stem, _, kind = name.rpartition(".")
        if kind in ("scales", "biases"):
            continue
        if kind != "weight" or f"{stem}.scales" not in stored:
            tensors.append(
                Tensor(_name(stem, kind), array.shape, gguf_file.FLOAT32, 4 * array.size, partial(_f32, array))
            )
            continue
        scales, offsets = stored[f"{stem}.scales"], stored[f"{stem}.biases"]
        group = _group_size(quantization)
        shape = (*array.shape[:-1], array.shape[-1] * 8)
        size = int(np.prod(shape)) // Q4_1_GROUP * _BLOCK.itemsize
        data = partial(_q4_1_bytes, array, scales, offsets, group)
        tensors.append(Tensor(_name(stem, kind), shape, gguf_file.Q4_1, size, data))
    return tensors


def q4_1(codes: NDArray[Any], scales: NDArray[Any], offsets: NDArray[Any], group: int) -> NDArray[Any]:
    """Repack a matrix from MLX's 4 bits to Q4_1: a weight is scale * code + offset in both.

    Args:
        codes: uint32, eight codes each, the first one in the lowest bits (mlx.core.quantize).
        scales: one for each group of a row.
        offsets: as many.
        group: weights in a group, a multiple of 32.

    Returns:
        The blocks, row after row, with the fields `scale`, `offset` and `codes`.
    """
    pairs = np.ascontiguousarray(codes, dtype="<u4").view("u1").reshape(-1, Q4_1_GROUP // 2)
    single = np.stack([pairs & 15, pairs >> 4], axis=-1).reshape(-1, Q4_1_GROUP)
    blocks = np.empty(len(pairs), _BLOCK)
    # MLX packs neighbours into a byte; Q4_1 packs each of the first half with one of the second.
    half = Q4_1_GROUP // 2
    blocks["codes"] = single[:, :half] | single[:, half:] << 4
    blocks["scale"] = np.repeat(scales.reshape(-1), group // Q4_1_GROUP)
    blocks["offset"] = np.repeat(offsets.reshape(-1), group // Q4_1_GROUP)
    return blocks


def _q4_1_bytes(codes: NDArray[Any], scales: NDArray[Any], offsets: NDArray[Any], group: int) -> bytes:
    return q4_1(codes, _float(scales), _float(offsets), group).tobytes()


def _f32(array: NDArray[Any]) -> bytes:
    return _float(array).tobytes()


def _float(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype == np.dtype("<u2"):
        # A bfloat16 is the upper half of a float32.
        return (array.astype("<u4") << 16).view("<f4")
    return array


def _group_size(quantization: Mapping[str, Any] | None) -> int:
    said = dict(quantization or {})
    bits, group, mode = said.get("bits"), said.get("group_size", 0), said.get("mode", "affine")
    if bits != 4 or mode != "affine" or group < Q4_1_GROUP or group % Q4_1_GROUP:
        raise ValueError(f"weights in {bits} bits, groups of {group}, mode {mode}: only 4 bits, affine, 32 n are known")
    return int(group)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """Map the weights into memory: a length, a JSON header, then the data."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(length))
    header.pop("__metadata__", None)
    data = np.memmap(path, mode="r", offset=8 + length)
    return {name: _array_of(name, data, entry) for name, entry in header.items()}


def _array_of(name: str, data: NDArray[Any], entry: Mapping[str, Any]) -> NDArray[Any]:
    if entry["dtype"] not in _TYPES:
        raise ValueError(f"{name} is {entry['dtype']}, not one of {', '.join(_TYPES)}")
    start, end = entry["data_offsets"]
    return data[start:end].view(_TYPES[entry["dtype"]]).reshape(entry["shape"])


def _name(stem: str, kind: str) -> str:
    """Return what llama.cpp calls a weight."""
    if stem in _NAMES:
        return f"{_NAMES[stem]}.{kind}"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{_LAYER_NAMES[part]}.{kind}"
