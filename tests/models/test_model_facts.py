from pathlib import Path

import pytest

from mcp_local_llm.values.model import Quantization
from tests.model_cache import (
    CHAT_TEMPLATE,
    QWEN_7B,
    THINKING_TEMPLATE,
    TOOL_TEMPLATE,
    Content,
    Packing,
    Tensors,
    gpt_oss_files,
    model_files,
    safetensors,
)
from tests.models.single import config, found, without

TEMPLATES: list[tuple[dict[str, Content], tuple[bool, bool, bool]]] = [
    ({"chat_template.jinja": THINKING_TEMPLATE}, (True, True, True)),
    ({"chat_template.json": {"chat_template": TOOL_TEMPLATE}}, (True, True, False)),
    ({"tokenizer_config.json": {"chat_template": CHAT_TEMPLATE}}, (True, False, False)),
    (
        {
            "tokenizer_config.json": {
                "chat_template": [
                    {"name": "default", "template": CHAT_TEMPLATE},
                    {"name": "tool_use", "template": TOOL_TEMPLATE},
                ]
            }
        },
        (True, True, False),
    ),
    ({"tokenizer_config.json": {"chat_template_type": "deepseek_v32"}}, (True, True, True)),
    ({"chat_template.jinja": CHAT_TEMPLATE + "I have no tools. [THINK]"}, (True, False, True)),
    ({"tokenizer_config.json": {"chat_template": None}}, (False, False, False)),
    ({"tokenizer_config.json": {"chat_template": {"default": TOOL_TEMPLATE}}}, (True, True, False)),
    (
        {"tokenizer_config.json": {"chat_template": [{"name": "tool_use", "template": TOOL_TEMPLATE}]}},
        (True, True, False),
    ),
    ({"tokenizer_config.json": {"chat_template": [{"template": CHAT_TEMPLATE}, 7]}}, (True, False, False)),
    ({"additional_chat_templates/tool_use.jinja": TOOL_TEMPLATE}, (True, True, False)),
    (
        {"chat_template.jinja": CHAT_TEMPLATE, "additional_chat_templates/tool_use.jinja": TOOL_TEMPLATE},
        (True, True, False),
    ),
    # A variant that is not used with tools does not count.
    (
        {"chat_template.jinja": CHAT_TEMPLATE, "additional_chat_templates/rag.jinja": TOOL_TEMPLATE},
        (True, False, False),
    ),
    # mlx-lm reads the name of a template in code from the tokenizer's config alone.
    ({"config.json": {"model_type": "qwen2", "chat_template_type": "deepseek_v32"}}, (False, False, False)),
    ({"tokenizer_config.json": {"chat_template": 7}}, (False, False, False)),
]


@pytest.mark.parametrize(("files", "abilities"), TEMPLATES)
def test_abilities_come_from_the_text_of_the_chat_template(
    files: dict[str, Content], abilities: tuple[bool, bool, bool], tmp_path: Path
) -> None:
    model = found(tmp_path, without("tokenizer_config.json") | files)
    assert (model.chat_template, model.tool_calling, model.thinking) == abilities


HEADS: dict[str, object] = {"num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "hidden_size": 4096}
ONE_LAYER = 2 * 8 * 128 * 2

KV_CACHES: dict[str, tuple[dict[str, object], int | None]] = {
    "every layer": ({**HEADS, "num_hidden_layers": 10}, 10 * ONE_LAYER),
    "head size from the width": (
        {"num_attention_heads": 32, "hidden_size": 4096, "num_hidden_layers": 1},
        2 * 32 * 128 * 2,
    ),
    "nested in a multimodal model": ({"text_config": {**HEADS, "num_hidden_layers": 2}}, 2 * ONE_LAYER),
    "one full layer in four": ({**HEADS, "num_hidden_layers": 8, "full_attention_interval": 4}, 2 * ONE_LAYER),
    "named layers": (
        {**HEADS, "num_hidden_layers": 3, "layer_types": ["sliding_attention", "full_attention", "conv"]},
        ONE_LAYER,
    ),
    "a pattern of letters": ({**HEADS, "num_hidden_layers": 4, "hybrid_override_pattern": "M*-*"}, 2 * ONE_LAYER),
    "chosen layers": ({**HEADS, "num_hidden_layers": 9, "full_attn_idxs": [2, 5]}, 2 * ONE_LAYER),
    "a sliding window": (
        {**HEADS, "num_hidden_layers": 12, "sliding_window": 512, "sliding_window_pattern": 6},
        2 * ONE_LAYER,
    ),
    "shared caches": ({**HEADS, "num_hidden_layers": 12, "num_kv_shared_layers": 4}, 8 * ONE_LAYER),
    "latent attention": (
        {**HEADS, "num_hidden_layers": 61, "kv_lora_rank": 512, "qk_rope_head_dim": 64},
        61 * (512 + 64) * 2,
    ),
    "latent attention that is expanded": (
        {
            **HEADS,
            "model_type": "deepseek_v2",
            "num_hidden_layers": 27,
            "kv_lora_rank": 512,
            "qk_rope_head_dim": 64,
            "qk_nope_head_dim": 128,
            "v_head_dim": 128,
        },
        27 * 32 * (192 + 128) * 2,
    ),
    "no layers": (HEADS, None),
    "no heads": ({"num_hidden_layers": 4, "hidden_size": 4096}, None),
    "nonsense": ({"num_hidden_layers": "many", "num_attention_heads": -1, "head_dim": True}, None),
}


@pytest.mark.parametrize("case", KV_CACHES)
def test_the_kv_cache_counts_the_layers_that_grow(case: str, tmp_path: Path) -> None:
    entries, expected = KV_CACHES[case]
    files = without() | {"config.json": {"model_type": "qwen2", **entries}}
    assert found(tmp_path, files).kv_bytes_per_token == expected


QUANTIZATIONS: dict[str, tuple[dict[str, object], Quantization]] = {
    "mxfp4": ({"quant_method": "mxfp4"}, Quantization(4, 32, "mxfp4")),
    "fp8": ({"quant_method": "fp8"}, Quantization(8, None, "fp8")),
    "modelopt": ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, Quantization(4, 16, "nvfp4")),
    "gptq": ({"quant_method": "gptq", "bits": 4, "group_size": 128}, Quantization(4, 128)),
}


@pytest.mark.parametrize("case", QUANTIZATIONS)
def test_quantization_by_other_tools_is_read_from_the_config(case: str, tmp_path: Path) -> None:
    entry, expected = QUANTIZATIONS[case]
    plain = model_files(QWEN_7B, Packing(16))
    files = plain | {"config.json": {**QWEN_7B.config(), "quantization_config": entry}}
    assert found(tmp_path, files).quantization == expected


PACKED: dict[str, tuple[Tensors, int]] = {
    "gptq": ({"a.qweight": ("I32", (16, 64)), "a.qzeros": ("I32", (1, 8)), "a.scales": ("F16", (1, 64))}, 16 * 64 * 8),
    "gpt-oss as published": ({"a_blocks": ("U8", (2, 8, 4, 16)), "a_scales": ("U8", (2, 8, 4))}, 2 * 8 * 4 * 32),
    "fp8": ({"a.weight": ("F8_E4M3", (8, 8)), "a.weight_scale_inv": ("F32", (1, 1))}, 64),
    "nvfp4": ({"a.weight_packed": ("U8", (8, 8)), "a.weight_scale": ("F8_E4M3", (8, 1))}, 128),
}


@pytest.mark.parametrize("case", PACKED)
def test_packed_weights_are_counted_by_what_they_stand_for(case: str, tmp_path: Path) -> None:
    tensors, parameters = PACKED[case]
    assert found(tmp_path, without() | {"model.safetensors": safetensors(tensors)}).parameters == parameters


def test_of_mixed_quantizations_the_one_of_most_parameters_is_told(tmp_path: Path) -> None:
    model = found(tmp_path, gpt_oss_files(), frozenset({"gpt_oss"}))
    assert model.quantization == Quantization(4, 32, "mxfp4")
    mixed = Packing(3).matrix("large", 4096, 4096) | Packing(6).matrix("small", 1024, 4096)
    quantization = {"group_size": 64, "bits": 4, "small": {"group_size": 64, "bits": 6}}
    files = config(quantization=quantization) | {"model.safetensors": safetensors(mixed)}
    assert found(tmp_path / "mixed", files).quantization == Quantization(3, 64)


def test_experts_in_matrices_of_their_own_are_counted_like_stacked_ones(tmp_path: Path) -> None:
    tensors = {f"model.layers.0.mlp.experts.{number}.up_proj.weight": ("BF16", (8, 8)) for number in range(4)}
    tensors["model.layers.0.mlp.shared_experts.up_proj.weight"] = ("BF16", (8, 8))
    files = config(num_experts=4, num_experts_per_tok=1) | {"model.safetensors": safetensors(tensors)}
    model = found(tmp_path, files)
    assert (model.parameters, model.active_parameters, model.active_bytes) == (320, 128, 256)
