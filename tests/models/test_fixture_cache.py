from pathlib import Path

from mcp_local_llm.models.find import ModelRoots, find_models
from mcp_local_llm.models.resolve import ordered
from mcp_local_llm.values.model import ModelInfo, Quantization
from tests.model_cache import (
    QWEN3_4B,
    model_files,
    place_in_hub,
)
from tests.models.single import FOUR

# id: architecture, bytes of the weights, parameters, active parameters, packing, KV bytes per token, context
EXPECTED_FACTS = {
    "acme/Acme-132B-6bit": (
        "qwen2", 6_187_906_018, 7_615_487_488, 7_615_487_488, Quantization(6, 64), 57_344, 32_768
    ),
    "bartowski/Qwen2.5-7B-Instruct-GGUF/Qwen2.5-7B-Instruct-Q4_K_M": (
        "qwen2", 4_683_073_952, 612_892_672, 612_892_672, Quantization(4, None, "Q4_K_M"), 57_344, 32_768
    ),
    "mlx-community/gpt-oss-20b-MXFP4-Q8": (
        "gpt_oss", 12_062_529_625, 20_907_927_360, 4_186_416_960, Quantization(4, 32, "mxfp4"), 24_576, 131_072
    ),
    "mlx-community/Llama-3.2-3B-bf16": (
        "llama", 6_425_530_980, 3_212_749_824, 3_212_749_824, None, 114_688, 131_072
    ),
    "mlx-community/Qwen2.5-Coder-14B-Instruct-6bit": (
        "qwen2", 12_001_099_002, 14_769_689_600, 14_769_689_600, Quantization(6, 64), 196_608, 32_768
    ),
    "mlx-community/Qwen2.5-Coder-32B-Instruct-4bit": (
        "qwen2", 18_430_553_602, 32_763_417_600, 32_763_417_600, Quantization(4, 64), 262_144, 32_768
    ),
    "mlx-community/Qwen2.5-Coder-32B-Instruct-8bit": (
        "qwen2", 34_811_932_640, 32_763_417_600, 32_763_417_600, Quantization(8, 64), 262_144, 32_768
    ),
    "mlx-community/Qwen2.5-Coder-7B-Instruct-4bit": (
        "qwen2", 4_284_085_120, 7_615_487_488, 7_615_487_488, Quantization(4, 64), 57_344, 32_768
    ),
    "mlx-community/Qwen3-32B-4bit": (
        "qwen3", 9_640_201_031, None, None, Quantization(4, 64), 262_144, 40_960
    ),
    "mlx-community/Qwen3-4B-4bit": (
        "qwen3", 2_263_003_370, 4_022_458_880, 4_022_458_880, Quantization(4, 64), 147_456, 40_960
    ),
    "mlx-community/Qwen3-Coder-30B-A3B-Instruct-4bit": (
        "qwen3_moe", 17_174_756_506, 30_532_110_336, 3_353_020_416, Quantization(4, 64), 98_304, 262_144
    ),
    "Qwen/Qwen3-Embedding-0.6B": (
        "qwen3", 1_192_116_530, 596_042_752, 596_042_752, None, 114_688, 32_768
    ),
}  # fmt: skip

# id: chat template, tools, thinking
EXPECTED_ABILITIES = {
    "acme/Acme-132B-6bit": (True, True, False),
    "bartowski/Qwen2.5-7B-Instruct-GGUF/Qwen2.5-7B-Instruct-Q4_K_M": (True, True, False),
    "mlx-community/gpt-oss-20b-MXFP4-Q8": (True, True, True),
    "mlx-community/Llama-3.2-3B-bf16": (False, False, False),
    "mlx-community/Qwen2.5-Coder-14B-Instruct-6bit": (True, True, False),
    "mlx-community/Qwen2.5-Coder-32B-Instruct-4bit": (True, True, False),
    "mlx-community/Qwen2.5-Coder-32B-Instruct-8bit": (True, True, False),
    "mlx-community/Qwen2.5-Coder-7B-Instruct-4bit": (True, True, False),
    "mlx-community/Qwen3-32B-4bit": (True, True, True),
    "mlx-community/Qwen3-4B-4bit": (True, True, True),
    "mlx-community/Qwen3-Coder-30B-A3B-Instruct-4bit": (True, True, False),
    "Qwen/Qwen3-Embedding-0.6B": (True, True, False),
    "tiny": (True, True, True),
}

EXPECTED_PROBLEMS = {
    "acme/Acme-132B-6bit": ("it needs remote code (modeling_acme.py), which is never run",),
    "mlx-community/Qwen3-32B-4bit": (
        "partial download: 2 of 4 weight files missing "
        "(model-00002-of-00004.safetensors, model-00004-of-00004.safetensors); 1 half-downloaded",
    ),
    "Qwen/Qwen3-Embedding-0.6B": ("an embedding model, not a language model",),
}


def test_the_fixture_cache_gives_exactly_the_expected_facts(models: tuple[ModelInfo, ...]) -> None:
    facts = {
        model.id: (
            model.architecture,
            model.weight_bytes,
            model.parameters,
            model.active_parameters,
            model.quantization,
            model.kv_bytes_per_token,
            model.context_length,
        )
        for model in ordered(models)
        if not model.diagnostic
    }
    assert facts == EXPECTED_FACTS
    assert list(facts) == list(EXPECTED_FACTS)


def test_the_fixture_cache_gives_exactly_the_expected_abilities(models: tuple[ModelInfo, ...]) -> None:
    abilities = {model.id: (model.chat_template, model.tool_calling, model.thinking) for model in models}
    assert abilities == EXPECTED_ABILITIES


def test_the_fixture_cache_gives_exactly_the_expected_problems(models: tuple[ModelInfo, ...]) -> None:
    assert {model.id: model.problems for model in models if model.problems} == EXPECTED_PROBLEMS


def test_a_mixture_of_experts_reads_only_the_bytes_of_its_chosen_experts(models: tuple[ModelInfo, ...]) -> None:
    sparse = {model.id: model.active_bytes for model in models if model.sparse}
    assert sparse == {
        "mlx-community/gpt-oss-20b-MXFP4-Q8": 3_179_157_120,
        "mlx-community/Qwen3-Coder-30B-A3B-Instruct-4bit": 1_886_359_552,
    }


def test_sources_and_formats_are_told(models: tuple[ModelInfo, ...]) -> None:
    assert {model.source for model in models if not model.diagnostic} == {"huggingface"}
    assert [model.id for model in models if model.diagnostic] == ["tiny"]
    assert [model.id.split("/")[0] for model in models if model.format == "gguf"] == ["bartowski"]


def test_a_hundred_models_are_all_found(tmp_path: Path) -> None:
    files = model_files(QWEN3_4B, FOUR)
    for number in range(100):
        place_in_hub(tmp_path, f"publisher/model-{number}", files)
    assert len(find_models(ModelRoots(hub_caches=(tmp_path,)), architectures={"qwen3"})) == 100
