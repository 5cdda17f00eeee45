"""Turn `tiny`, or a random model of the benchmarks, into a GGUF file: `python -m training.to_gguf MODEL OUT.gguf`.

Takes mlx-lm folders of Qwen3 and Qwen2. Weights in bfloat16 or float32 are written as 32-bit floats, which holds all of
them exactly. Those that MLX keeps in 4 bits become Q4_1, which has the same 4-bit codes; only scale and offset of each
group are rounded, to 16 bits. The names are those of llama.cpp's architectures `qwen2` and `qwen3`.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training import gguf_file
from training.folder_weights import read_tensors

_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5
"""Kinds of tokens (llama.cpp, enum llama_token_type)."""
_ARCHITECTURES = ("qwen2", "qwen3")


def main() -> None:
    """Read the command line and convert."""
    parser = argparse.ArgumentParser(prog="python -m training.to_gguf", description="Write a model as a GGUF file.")
    parser.add_argument("model", type=Path, help="a model folder")
    parser.add_argument("out", type=Path, help="the file to write")
    arguments = parser.parse_args()
    print(write_gguf(arguments.model, arguments.out))


def write_gguf(model: Path, out: Path) -> str:
    """Write the model of the folder `model` as the file `out`.

    Returns:
        What its matrices are in: "F32" or "Q4_1".

    Raises:
        ValueError: the architecture or the format of the weights is none of those above.
    """
    config: dict[str, Any] = json.loads((model / "config.json").read_text(encoding="utf-8"))
    if config["model_type"] not in _ARCHITECTURES:
        raise ValueError(f"the model is {config['model_type']}, not one of {', '.join(_ARCHITECTURES)}")
    tensors = read_tensors(model / "model.safetensors", config.get("quantization"))
    quantized = any(tensor.kind == gguf_file.Q4_1 for tensor in tensors)
    file_type = gguf_file.MOSTLY_Q4_1 if quantized else gguf_file.ALL_FLOAT32
    gguf_file.write_file(out, [*_architecture(model.name, config, file_type), *_tokenizer(model, config)], tensors)
    return "Q4_1" if quantized else "F32"


def _architecture(name: str, config: Mapping[str, Any], file_type: int) -> list[bytes]:
    kind: str = config["model_type"]
    counts = {
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["num_key_value_heads"],
    }
    if "head_dim" in config:
        counts |= {"attention.key_length": config["head_dim"], "attention.value_length": config["head_dim"]}
    numbers = {"rope.freq_base": config["rope_theta"], "attention.layer_norm_rms_epsilon": config["rms_norm_eps"]}
    return [
        gguf_file.word("general.architecture", kind),
        gguf_file.word("general.name", name),
        gguf_file.count("general.file_type", file_type),
        gguf_file.count("general.alignment", gguf_file.ALIGNMENT),
        *(gguf_file.count(f"{kind}.{key}", value) for key, value in counts.items()),
        *(gguf_file.decimal(f"{kind}.{key}", value) for key, value in numbers.items()),
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
    # Byte-level splitting on its own is GPT-2's; Qwen's has a pattern of its own before it.
    pre = "gpt-2" if tokenizer["pre_tokenizer"]["type"] == "ByteLevel" else "qwen2"
    ends = {"eos": config["eos_token_id"], "padding": config.get("pad_token_id")}
    return [
        gguf_file.word("tokenizer.ggml.model", "gpt2"),
        gguf_file.word("tokenizer.ggml.pre", pre),
        gguf_file.words("tokenizer.ggml.tokens", tokens),
        gguf_file.integers("tokenizer.ggml.token_type", kinds),
        gguf_file.words(
            "tokenizer.ggml.merges", [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
        ),
        # An id beyond the vocabulary says that there is none.
        *(
            gguf_file.count(f"tokenizer.ggml.{name}_token_id", number)
            for name, number in ends.items()
            if number is not None and number < size
        ),
        gguf_file.no("tokenizer.ggml.add_bos_token"),
        gguf_file.word("tokenizer.chat_template", _chat_template(model)),
    ]


def _chat_template(model: Path) -> str:
    file = model / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    template: str = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))["chat_template"]
    return template


if __name__ == "__main__":
    main()
