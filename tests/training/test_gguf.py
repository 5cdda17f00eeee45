"""GGUF files made of mlx-lm folders: the same weights in another order. A real llama-server reads them elsewhere."""

import json
from pathlib import Path
from typing import Any

import mlx.core
import numpy as np
import pytest

from benchmarks.random_model import Shape, make_model
from training.folder_weights import q4_1, read_tensors
from training.gguf_file import FLOAT32, Q4_1
from training.to_gguf import write_gguf

# mlx declares its types in part only.
mx: Any = mlx.core
MINI = Shape("mini", 512, 64, 2, 2, 1, 128)


@pytest.mark.parametrize("group", [32, 64, 128])
def test_four_bits_keep_their_codes_and_round_only_what_they_are_scaled_by(group: int) -> None:
    codes, scales, offsets = mx.quantize(mx.random.normal((6, 256), key=mx.random.key(1)), group_size=group, bits=4)
    blocks = q4_1(np.array(codes), np.array(scales), np.array(offsets), group)
    halves = np.concatenate([blocks["codes"] & 15, blocks["codes"] >> 4], axis=-1)
    again = blocks["scale"].astype("f4")[:, None] * halves + blocks["offset"].astype("f4")[:, None]
    exact = np.array(mx.dequantize(codes, scales, offsets, group_size=group, bits=4))
    rounded = np.array(
        mx.dequantize(
            codes,
            scales.astype(mx.float16).astype(mx.float32),
            offsets.astype(mx.float16).astype(mx.float32),
            group_size=group,
            bits=4,
        )
    )
    np.testing.assert_allclose(again.reshape(6, 256), rounded, atol=1e-6)
    np.testing.assert_allclose(again.reshape(6, 256), exact, atol=4e-3)


def test_only_matrices_are_in_four_bits_and_every_weight_has_a_name(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "mini", MINI)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tensors = {tensor.name: tensor for tensor in read_tensors(folder / "model.safetensors", config["quantization"])}
    assert tensors["token_embd.weight"].shape == (512, 64)
    assert {name for name, tensor in tensors.items() if tensor.kind == FLOAT32} == {
        "output_norm.weight",
        *(
            f"blk.{layer}.{part}"
            for layer in range(2)
            for part in ("attn_norm.weight", "ffn_norm.weight", "attn_q.bias", "attn_k.bias", "attn_v.bias")
        ),
    }
    assert {tensor.kind for tensor in tensors.values()} == {FLOAT32, Q4_1}
    assert [name for name, tensor in tensors.items() if len(tensor.data()) != tensor.size] == []
    assert write_gguf(folder, tmp_path / "mini.gguf") == "Q4_1"


def test_a_format_without_an_equal_is_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "mini", MINI)
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(config | {"quantization": {"bits": 8, "group_size": 64}}), encoding="utf-8")
    with pytest.raises(ValueError, match="8 bits"):
        write_gguf(folder, tmp_path / "mini.gguf")
    file.write_text(json.dumps(config | {"model_type": "gemma3"}), encoding="utf-8")
    with pytest.raises(ValueError, match="gemma3"):
        write_gguf(folder, tmp_path / "mini.gguf")
