"""The model's own files in its folder: configuration and weights, as plain mlx-lm reads them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import mlx.core as mx

from training.qwen3 import Qwen3Config, Weights
from training.tokenizer import END_OF_TURN, PADDING, ChatTokenizer


def write_config(folder: Path, config: Qwen3Config, tokenizer: ChatTokenizer) -> None:
    """Write `config.json` and `generation_config.json`; answers are greedy unless a request says otherwise."""
    end, padding = (tokenizer.convert_tokens_to_ids(token) for token in (END_OF_TURN, PADDING))
    model = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        **asdict(config),
        "tie_word_embeddings": True,
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "use_sliding_window": False,
        "initializer_range": 0.02,
        "use_cache": True,
        "eos_token_id": end,
        "bos_token_id": None,
        "pad_token_id": padding,
        "torch_dtype": "bfloat16",
    }
    generation = {"do_sample": False, "temperature": 0.0, "eos_token_id": [end, padding], "pad_token_id": padding}
    _write_json(folder / "config.json", model)
    _write_json(folder / "generation_config.json", generation)


def write_weights(folder: Path, weights: Weights) -> None:
    """Write `model.safetensors` in bfloat16."""
    arrays = {name: mx.array(weight).astype(mx.bfloat16) for name, weight in weights.items()}
    cast(Any, mx).save_safetensors(str(folder / "model.safetensors"), arrays, metadata={"format": "mlx"})


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
