"""Models whose load mlx-lm or transformers would refuse are listed with the reason and the remedy."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from mcp_local_llm.models.find import ModelRoots, find_models
from mcp_local_llm.models.find.loadable import TEMPLATES_IN_CODE, unsupported
from tests.model_cache import Content, gguf, write
from tests.models.single import config, found, without

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"

SCALINGS: list[dict[str, Any]] = [
    {},
    {"factor": 8.0},
    {"rope_type": "default"},
    {"rope_type": "linear", "factor": 2.0},
    {"type": "linear", "factor": 2.0},
    {"type": "dynamic", "factor": 2.0},
    {"rope_type": "dynamic", "factor": 2.0},
    {"rope_type": "llama3", "factor": 8.0},
    {"type": "llama3", "factor": 8.0},
    {"type": "yarn", "factor": 4.0},
    {"type": "dynamic", "factor": 1.0, "alpha": 1000.0},
    {"type": "longrope", "long_factor": [1.0], "short_factor": [1.0]},
    {"rope_type": "longrope", "long_factor": [1.0], "short_factor": [1.0]},
]


@pytest.mark.parametrize(
    "kind",
    ["hunyuan", "hunyuan_v1_dense", "internlm2", "internlm3", "llama", "nemotron", "nemotron-nas", "phi3", "qwen2_moe"],
)
def test_a_scaling_of_positions_is_flagged_exactly_where_mlx_lm_refuses_it(kind: str) -> None:
    arguments: Any = importlib.import_module(f"mlx_lm.models.{kind}").ModelArgs
    numbers = dict.fromkeys(arguments.__dataclass_fields__, 1)
    flags = {"model_type": kind, "block_configs": [{"attention": {"no_op": True}, "ffn": {"no_op": True}}]}

    def refused(scaling: dict[str, Any]) -> bool:
        entries = {**numbers, **flags, "rope_scaling": scaling}
        try:
            arguments(**{name: entries[name] for name in numbers})
        except ValueError as error:
            return "rope_scaling" in str(error)
        return False

    flagged = {
        str(scaling): bool(unsupported({"model_type": kind, "rope_scaling": scaling}, {kind})) for scaling in SCALINGS
    }
    assert flagged == {str(scaling): refused(scaling) for scaling in SCALINGS}


def test_the_sentence_about_a_scaling_names_what_is_missing_and_the_remedy() -> None:
    (fault,) = unsupported({"model_type": "nemotron-nas", "rope_scaling": {"type": "llama3"}}, {"nemotron-nas"})
    assert "rope_scaling in config.json has no factor and no rope_type" in fault
    assert "another conversion" in fault


def tokenizer(**entries: object) -> dict[str, Content]:
    return without("tokenizer_config.json") | {"tokenizer_config.json": {"chat_template": "x", **entries}}


KIMI = {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None]}
CODE = "its tokenizer needs remote code (tokenization_kimi.py), which is never run"
TOKENIZERS: dict[str, tuple[dict[str, object], bool]] = {
    "Kimi": ({"auto_map": KIMI, "tokenizer_class": "TikTokenTokenizer"}, False),
    "an old list": ({"auto_map": KIMI["AutoTokenizer"], "tokenizer_class": "TikTokenTokenizer"}, False),
    "of another repository": (
        {"auto_map": {"AutoTokenizer": ["moonshotai/Kimi--tokenization_kimi.TikTokenTokenizer", None]}},
        False,
    ),
    "a class of transformers": ({"auto_map": KIMI, "tokenizer_class": "LlamaTokenizerFast"}, True),
    "no code": ({"tokenizer_class": "TikTokenTokenizer"}, True),
    "code of something else": ({"auto_map": {"AutoProcessor": "processing_kimi.Processor"}}, True),
}


@pytest.mark.parametrize("case", TOKENIZERS)
def test_a_tokenizer_that_needs_its_own_code_is_flagged(case: str, tmp_path: Path) -> None:
    entries, sound = TOKENIZERS[case]
    files = tokenizer(**entries) | {"config.json": config(model_type="kimi_k2")["config.json"]}
    problems = found(tmp_path, files, frozenset({"kimi_k2"})).problems
    assert bool(problems) is not sound
    assert sound or problems[0].startswith(CODE)


def test_a_model_type_whose_tokenizer_transformers_has_needs_no_code(tmp_path: Path) -> None:
    assert found(tmp_path, tokenizer(auto_map=KIMI, tokenizer_class="TikTokenTokenizer")).usable


@pytest.mark.parametrize(
    "name",
    [
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "config.json",
        "generation_config.json",
        "chat_template.jinja",
        "special_tokens_map.json",
        "vocab.json",
    ],
)
def test_a_file_that_git_lfs_did_not_fetch_is_named_with_the_remedy(name: str, tmp_path: Path) -> None:
    problems = found(tmp_path, without() | {name: POINTER}).problems
    assert f"{name} is a Git LFS pointer, not the file itself: fetch it with git lfs pull" in problems
    assert len([problem for problem in problems if name in problem]) == 1


def test_gguf_files_that_cannot_run_here_are_named_with_the_remedy(tmp_path: Path) -> None:
    whole = gguf({"general.architecture": "llama"}, {"a": (8, 8)}, 1000)
    write(tmp_path / "big.gguf", whole.head[:4] + whole.head[4:8][::-1] + whole.head[8:])
    write(tmp_path / "pointer.gguf", POINTER)
    problems = {model.id: model.problems for model in find_models(ModelRoots(extra=(tmp_path,)))}
    assert problems["pointer"] == ("pointer.gguf is a Git LFS pointer, not weights: fetch it with git lfs pull",)
    assert "big-endian" in problems["big"][0]
    assert "get the ordinary" in problems["big"][0]


def test_a_template_in_code_that_mlx_lm_does_not_have_is_flagged(tmp_path: Path) -> None:
    sentence = "tokenizer_config.json names the chat template 'moose', which mlx-lm does not have"
    assert found(tmp_path, tokenizer(chat_template_type="moose")).problems == (sentence,)


def test_the_architectures_with_a_template_in_code_are_those_of_the_installed_mlx_lm() -> None:
    import mlx_lm

    folder = Path(str(mlx_lm.__file__)).with_name("models")
    assert {
        path.stem for path in folder.glob("*.py") if '"chat_template_type"' in path.read_text()
    } == TEMPLATES_IN_CODE


def test_a_config_without_a_model_type_says_so(tmp_path: Path) -> None:
    files = without() | {"config.json": {"hidden_size": 8}}
    assert found(tmp_path, files).problems == ("config.json names no model_type",)
