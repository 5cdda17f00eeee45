from pathlib import Path

import pytest

from mcp_local_llm.models.known import KNOWN_MODELS, RECOMMENDATIONS, known_model, strengths
from mcp_local_llm.values.model import ModelInfo


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("mlx-community/Qwen2.5-Coder-32B-Instruct-4bit", "Qwen2.5-Coder-32B-Instruct"),
        ("mlx-community/qwen2.5-coder-32b-instruct-8BIT", "Qwen2.5-Coder-32B-Instruct"),
        ("lmstudio-community/Qwen3-Coder-30B-A3B-Instruct-MLX-6bit", "Qwen3-Coder-30B-A3B-Instruct"),
        ("mlx-community/Qwen3-30B-A3B-4bit-DWQ", "Qwen3-30B-A3B"),
        ("Qwen/Qwen3-4B", "Qwen3-4B"),
        ("mlx-community/Qwen3-30B-A3B-Instruct-2507-4bit", None),
        ("mlx-community/Qwen2.5-Coder-7B-4bit", None),
        ("tiny", None),
    ],
)
def test_well_known_models_are_known_in_every_quantization(name: str, entry: str | None) -> None:
    found = known_model(name)
    assert (found.name if found else None) == entry


def test_every_piece_of_advice_names_a_model_of_the_guide_as_it_is_published() -> None:
    published = {entry.repository(bits) for entry in KNOWN_MODELS for bits in entry.bits}
    assert all(f"mlx-community/{name}" in published for advice in RECOMMENDATIONS for name in advice.models)
    assert [advice.work for advice in RECOMMENDATIONS] == [
        "quick edits",
        "everyday coding",
        "refactoring and review",
        "best quality",
        "hard questions",
    ]


def test_the_guide_agrees_with_the_files(models: tuple[ModelInfo, ...]) -> None:
    known = [(model, entry) for model in models if model.usable and (entry := known_model(model.id))]
    assert len(known) == 6
    for model, entry in known:
        assert model.parameters == pytest.approx(entry.parameters, rel=0.01)
        assert model.active_parameters == pytest.approx(entry.active_parameters, rel=0.01)


STRENGTHS = {
    "bartowski/Qwen2.5-7B-Instruct-GGUF/Qwen2.5-7B-Instruct-Q4_K_M": (
        "short and simple tasks (613M parameters); calls tools"
    ),
    "mlx-community/gpt-oss-20b-MXFP4-Q8": (
        "mixture of experts (20.9B parameters, 4.19B active): quick for its size; thinks before it answers; "
        "calls tools; long context"
    ),
    "mlx-community/Llama-3.2-3B-bf16": (
        "everyday tasks (3.21B parameters); long context; "
        "a base model without a chat template: completes text, does not converse"
    ),
    "mlx-community/Qwen2.5-Coder-7B-Instruct-4bit": "quick edits, boilerplate, docstrings",
    "tiny": "for diagnosis and tests only; its answers mean nothing",
}


@pytest.mark.parametrize("name", STRENGTHS)
def test_strengths_come_from_the_guide_or_from_the_files(name: str, models: tuple[ModelInfo, ...]) -> None:
    assert strengths(next(model for model in models if model.id == name)) == STRENGTHS[name]


def test_a_model_of_which_nothing_is_known_says_so() -> None:
    assert strengths(ModelInfo("x", Path("x"), "folder")) == "nothing is known of it"


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (ModelInfo("x", Path("x"), "folder", parameters=10**9), True),
        (ModelInfo("x", Path("x"), "folder", parameters=10**9, tool_calling=True), False),
        (ModelInfo("x", Path("x"), "folder", parameters=10**9, chat_template=False), False),
        (ModelInfo("x", Path("x"), "folder", format="gguf", parameters=10**9), False),
    ],
)
def test_a_chat_template_without_tools_is_marked(model: ModelInfo, told: bool) -> None:
    assert ("its chat template knows no tools" in strengths(model)) == told
