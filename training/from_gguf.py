"""Turn a GGUF file of the llama architecture into a folder that mlx-lm loads, without loss.

    python -m training.from_gguf FILE.gguf FOLDER

MLX reads Q4_1 and Q8_0 as its own 4 and 8 bits in groups of 32, so no weight is quantized anew. What changes is the
names of the weights, the order of the rows that RoPE rotates, and the form of the tokenizer.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core
from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

# mlx and tokenizers declare their types in part only.
mx: Any = mlx.core

GROUP = 32
"""Weights that share a scale in both formats (ggml-common.h, block_q4_1 and block_q8_0)."""

_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_LAYER_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_CONTROL = 3
"""Type of a token that is never part of ordinary text (llama.cpp, enum llama_token_type)."""
_PRE_TOKENIZERS = ("smollm",)
"""Values of `tokenizer.ggml.pre` whose splitting is built here."""

Json = dict[str, Any]


def main() -> None:
    """Read the command line and convert."""
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m training.from_gguf", description=summary)
    parser.add_argument("file", type=Path, help="a GGUF file of the llama architecture, in Q4_1, Q8_0 and F32")
    parser.add_argument("folder", type=Path, help="the folder to write")
    arguments = parser.parse_args()
    write_folder(arguments.file, arguments.folder)


def write_folder(file: Path, folder: Path) -> None:
    """Write config, weights and tokenizer of the GGUF file `file` into `folder`.

    Raises:
        ValueError: the architecture, a weight or the tokenizer is none of those that are known here.
    """
    arrays, facts = mx.load(str(file), return_metadata=True)
    if facts.get("general.architecture") != "llama":
        raise ValueError(f"the architecture is {facts.get('general.architecture')}, not llama")
    folder.mkdir(parents=True, exist_ok=True)
    config = _config(facts, arrays)
    weights = _weights(arrays, config["num_attention_heads"], config["num_key_value_heads"])
    config["tie_word_embeddings"] = not any(name.startswith("lm_head.") for name in weights)
    mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "mlx"})
    ends = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    _write(folder / "config.json", config | _quantization(weights))
    _write(folder / "generation_config.json", ends)
    _tokenizer(facts).save(str(folder / "tokenizer.json"))
    tokens = facts["tokenizer.ggml.tokens"]
    names = {key.removesuffix("_id"): tokens[number] for key, number in ends.items()}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    window = {"model_max_length": config["max_position_embeddings"]}
    _write(
        folder / "tokenizer_config.json",
        settings | names | window | {"chat_template": facts["tokenizer.chat_template"]},
    )


def _config(facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> Json:
    """Return config.json as mlx-lm's llama reads it, without quantization."""

    def number(key: str) -> Any:
        return facts[key].item()

    heads = number("llama.attention.head_count")
    hidden = number("llama.embedding_length")
    end = number("tokenizer.ggml.eos_token_id")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": number("llama.feed_forward_length"),
        "num_hidden_layers": number("llama.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": number("llama.attention.head_count_kv"),
        "head_dim": hidden // heads,
        "max_position_embeddings": number("llama.context_length"),
        "rms_norm_eps": number("llama.attention.layer_norm_rms_epsilon"),
        "rope_theta": number("llama.rope.freq_base"),
        "vocab_size": arrays["token_embd.weight"].shape[0],
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": number("tokenizer.ggml.bos_token_id"),
        "eos_token_id": end,
        "pad_token_id": end,
    }


def _weights(arrays: Mapping[str, Any], heads: int, kv_heads: int) -> Json:
    """Name the weights as mlx-lm does."""
    rotated = {"attn_q": heads, "attn_k": kv_heads}
    named: Json = {}
    for name, array in arrays.items():
        match name.split("."):
            case ["blk", layer, part, kind] if part in _LAYER_NAMES:
                ordered = _halves(array, rotated[part]) if part in rotated else array
                named[f"model.layers.{layer}.{_LAYER_NAMES[part]}.{kind}"] = ordered
            case [part, kind] if part in _NAMES:
                named[f"{_NAMES[part]}.{kind}"] = array
            case _:
                raise ValueError(f"the weight {name} is not known")
    return named


def _halves(rows: Any, heads: int) -> Any:
    """Order each head's rows as mlx-lm rotates them: the first half with the second; llama.cpp has pairs of neighbours.

    llama.cpp's conversion reorders them so (conversion of LlamaModel, `permute`); this is the way back.
    """
    count = rows.shape[0]
    pairs = rows.reshape(heads, count // heads // 2, 2, *rows.shape[1:])
    return mx.swapaxes(pairs, 1, 2).reshape(rows.shape)


def _quantization(weights: Mapping[str, Any]) -> Json:
    """Return the entry for config.json: the bits that most matrices have, and by name those that have others."""
    bits = {name.removesuffix(".scales"): _bits(weights, name) for name in weights if name.endswith(".scales")}
    if not bits:
        return {}
    usual = max(set(bits.values()), key=list(bits.values()).count)
    others = {name: {"group_size": GROUP, "bits": own} for name, own in bits.items() if own != usual}
    entry: Json = {"group_size": GROUP, "bits": usual, **others}
    return {"quantization": entry, "quantization_config": entry}


def _bits(weights: Mapping[str, Any], scales: str) -> int:
    """Return the bits of a weight from the lengths of a row's codes and of its scales."""
    codes = weights[f"{scales.removesuffix('.scales')}.weight"].shape[-1]
    return codes * 32 // (weights[scales].shape[-1] * GROUP)


def _tokenizer(facts: Mapping[str, Any]) -> Any:
    """Make the byte-level BPE tokenizer whose vocabulary and merges the file holds."""
    pre = facts.get("tokenizer.ggml.pre")
    if facts.get("tokenizer.ggml.model") != "gpt2" or pre not in _PRE_TOKENIZERS:
        raise ValueError(f"the tokenizer is {facts.get('tokenizer.ggml.model')}, {pre}, which is not known")
    tokens: list[str] = facts["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ", 1)) for merge in facts["tokenizer.ggml.merges"]]
    made: Any = Tokenizer(BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    made.pre_tokenizer = Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)])
    made.decoder = ByteLevelDecoder()
    kinds: list[int] = facts["tokenizer.ggml.token_type"].tolist()
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return made


def _write(path: Path, values: Json) -> None:
    path.write_text(json.dumps(values, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
