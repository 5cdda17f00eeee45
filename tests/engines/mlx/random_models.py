"""Models of other architectures with random weights, in the tokenizer and template of `tiny`."""

import json
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import mlx.core as mx

from mcp_local_llm.values.model import ModelInfo

PLAIN: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096,
}
"""Attention alone. In float32, as the others: a CPU is slow with the 16 bits of `tiny`."""

HYBRID: dict[str, Any] = {
    "model_type": "lfm2",
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "norm_eps": 1e-5,
    "conv_bias": False,
    "conv_L_cache": 3,
    "block_dim": 64,
    "block_ff_dim": 128,
    "block_multiple_of": 32,
    "block_ffn_dim_multiplier": 1.0,
    "block_auto_adjust_ff_dim": False,
    "full_attn_idxs": [1, 3],
}
"""Short convolutions, whose state cannot be cut back, beside attention."""

SLIDING: dict[str, Any] = {
    "model_type": "gemma3_text",
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "query_pre_attn_scalar": 16,
    "sliding_window": 64,
    "sliding_window_pattern": 2,
    "max_position_embeddings": 4096,
}
"""Attention windows of 64 tokens in every second layer; a window that has wrapped cannot be cut back."""


def random_model(tiny: ModelInfo, folder: Path, config: dict[str, Any]) -> ModelInfo:
    """Write a model of `config` with random weights into `folder`."""
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        if (tiny.path / name).exists():
            shutil.copy(tiny.path / name, folder / name)
    vocabulary = json.loads((tiny.path / "config.json").read_text())["vocab_size"]
    config = {**config, "vocab_size": vocabulary, "eos_token_id": []}
    (folder / "config.json").write_text(json.dumps(config))
    mx.random.seed(3)
    module: Any = import_module(f"mlx_lm.models.{config['model_type']}")
    network = module.Model(module.ModelArgs.from_dict(config))
    network.save_weights(str(folder / "model.safetensors"))
    size = (folder / "model.safetensors").stat().st_size
    return replace(tiny, id=str(config["model_type"]), path=folder, weight_bytes=size, context_length=4096)
