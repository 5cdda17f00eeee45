"""Models of random weights and a vocabulary of 151,936 words whose chat template writes tools, as agents need them."""

import json
from pathlib import Path
from typing import Any

import mlx.core
import mlx_lm.models.lfm2

from benchmarks.random_model import SMALL, make_model, write_tokenizer
from mcp_local_llm.models.find.roots import BUILTIN_FOLDER

# mlx and mlx-lm declare their types in part only.
mx: Any = mlx.core
lfm2: Any = mlx_lm.models.lfm2


def make_attention(folder: Path) -> Path:
    """Write a model of plain attention, whose KV cache can be cut back."""
    return _with_tools(make_model(folder, SMALL))


def make_hybrid(folder: Path) -> Path:
    """Write a model with short convolutions in every second layer, whose KV cache serves at checkpoints only."""
    folder.mkdir(parents=True)
    config: dict[str, Any] = {
        "model_type": "lfm2",
        "architectures": ["Lfm2ForCausalLM"],
        "vocab_size": SMALL.vocabulary,
        "hidden_size": SMALL.hidden,
        "num_hidden_layers": SMALL.layers,
        "num_attention_heads": SMALL.heads,
        "num_key_value_heads": SMALL.kv_heads,
        "max_position_embeddings": 32_768,
        "norm_eps": 1e-5,
        "conv_bias": False,
        "conv_L_cache": 3,
        "block_dim": SMALL.hidden,
        "block_ff_dim": SMALL.ffn,
        "block_multiple_of": 32,
        "block_ffn_dim_multiplier": 1.0,
        "block_auto_adjust_ff_dim": False,
        "full_attn_idxs": list(range(1, SMALL.layers, 2)),
        "eos_token_id": SMALL.vocabulary - 1,
    }
    mx.random.seed(0)
    network = lfm2.Model(lfm2.ModelArgs.from_dict(config))
    network.save_weights(str(folder / "model.safetensors"))
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(folder, SMALL.vocabulary)
    return _with_tools(folder)


def _with_tools(folder: Path) -> Path:
    """Give a model the template of the built-in one, ChatML with tools, without its thoughts."""
    template = (BUILTIN_FOLDER / "chat_template.jinja").read_text(encoding="utf-8")
    template = template.replace("enable_thinking is defined and not enable_thinking", "false")
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": template}))
    return folder
