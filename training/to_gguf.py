"""Turn `tiny` into a GGUF file for llama.cpp: `python -m training.to_gguf MODEL OUT.gguf`.

The weights are written as 32-bit floats, which holds every bfloat16 exactly. The format is llama.cpp's
(github.com/ggml-org/ggml, docs/gguf.md), the names are those of its architecture `qwen3`.
"""

import argparse
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.qwen3.arrays import Array, Weights

_VERSION = 3
_ALIGNMENT = 32
_FLOAT32_TENSOR, _ALL_FLOAT32 = 0, 0
_UINT32, _FLOAT32, _BOOL, _STRING, _ARRAY, _INT32 = 4, 6, 7, 8, 9, 5
_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5
"""Kinds of tokens (llama.cpp, enum llama_token_type)."""

_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}
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


def main() -> None:
    """Read the command line and convert."""
    parser = argparse.ArgumentParser(prog="python -m training.to_gguf", description="Write tiny as a GGUF file.")
    parser.add_argument("model", type=Path, help="a model folder")
    parser.add_argument("out", type=Path, help="the file to write")
    arguments = parser.parse_args()
    write_gguf(arguments.model, arguments.out)


def write_gguf(model: Path, out: Path) -> None:
    """Write the model of the folder `model` as the file `out`."""
    config: dict[str, Any] = json.loads((model / "config.json").read_text(encoding="utf-8"))
    facts = [*_architecture(config), *_tokenizer(model, config)]
    weights = {_name(name): weight for name, weight in _read_weights(model / "model.safetensors").items()}
    infos, blocks, offset = list[bytes](), list[bytes](), 0
    for name, weight in weights.items():
        # The fastest dimension stands first, the other way round than NumPy's.
        shape = weight.shape[::-1]
        infos.append(_text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, _FLOAT32_TENSOR, offset))
        blocks.append(_padded(weight.tobytes()))
        offset += len(blocks[-1])
    head = b"GGUF" + struct.pack("<IQQ", _VERSION, len(weights), len(facts)) + b"".join([*facts, *infos])
    out.write_bytes(_padded(head) + b"".join(blocks))


def _architecture(config: Mapping[str, Any]) -> list[bytes]:
    counts = {
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["num_key_value_heads"],
        "attention.key_length": config["head_dim"],
        "attention.value_length": config["head_dim"],
    }
    numbers = {"rope.freq_base": config["rope_theta"], "attention.layer_norm_rms_epsilon": config["rms_norm_eps"]}
    return [
        _word("general.architecture", "qwen3"),
        _word("general.name", "tiny"),
        _count("general.file_type", _ALL_FLOAT32),
        _count("general.alignment", _ALIGNMENT),
        *(_count(f"qwen3.{key}", value) for key, value in counts.items()),
        *(_entry(f"qwen3.{key}", _FLOAT32, struct.pack("<f", value)) for key, value in numbers.items()),
    ]


def _tokenizer(model: Path, config: Mapping[str, Any]) -> list[bytes]:
    tokenizer: dict[str, Any] = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    size: int = config["vocab_size"]
    tokens, kinds = [f"[PAD{number}]" for number in range(size)], [_UNUSED] * size
    for token, number in tokenizer["model"]["vocab"].items():
        tokens[number], kinds[number] = token, _NORMAL
    for added in tokenizer["added_tokens"]:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = _CONTROL if added["special"] else _USER_DEFINED
    merges: list[str | list[str]] = tokenizer["model"]["merges"]
    return [
        _word("tokenizer.ggml.model", "gpt2"),
        _word("tokenizer.ggml.pre", "qwen2"),
        _array("tokenizer.ggml.tokens", _STRING, [_text(token) for token in tokens]),
        _array("tokenizer.ggml.token_type", _INT32, [struct.pack("<i", kind) for kind in kinds]),
        _array(
            "tokenizer.ggml.merges",
            _STRING,
            [_text(merge if isinstance(merge, str) else " ".join(merge)) for merge in merges],
        ),
        _count("tokenizer.ggml.eos_token_id", config["eos_token_id"]),
        _count("tokenizer.ggml.padding_token_id", config["pad_token_id"]),
        _entry("tokenizer.ggml.add_bos_token", _BOOL, b"\0"),
        _word("tokenizer.chat_template", (model / "chat_template.jinja").read_text(encoding="utf-8")),
    ]


def _read_weights(path: Path) -> Weights:
    """Read bfloat16 weights: a length, a JSON header, then the data (github.com/huggingface/safetensors)."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    return {name: _array_of(data[8 + length :], entry) for name, entry in header.items()}


def _array_of(data: bytes, entry: Mapping[str, Any]) -> Array:
    if entry["dtype"] != "BF16":
        raise ValueError(f"the weights are {entry['dtype']}, not BF16")
    start, end = entry["data_offsets"]
    # A bfloat16 is the upper half of a float32.
    halves = np.frombuffer(data[start:end], dtype="<u2").astype("<u4") << 16
    return halves.view("<f4").reshape(entry["shape"])


def _name(name: str) -> str:
    """Return what llama.cpp calls a weight."""
    stem, _, kind = name.rpartition(".")
    if stem in _NAMES:
        return f"{_NAMES[stem]}.{kind}"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{_LAYER_NAMES[part]}.{kind}"


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _entry(key: str, kind: int, value: bytes) -> bytes:
    return _text(key) + struct.pack("<I", kind) + value


def _word(key: str, value: str) -> bytes:
    return _entry(key, _STRING, _text(value))


def _count(key: str, value: int) -> bytes:
    return _entry(key, _UINT32, struct.pack("<I", value))


def _array(key: str, kind: int, values: Sequence[bytes]) -> bytes:
    return _entry(key, _ARRAY, struct.pack("<IQ", kind, len(values)) + b"".join(values))


if __name__ == "__main__":
    main()
