import ast
import json
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_local_llm.models.find import ModelRoots, find_models
from mcp_local_llm.models.find.find import native_architectures
from tests.model_cache import (
    QWEN_7B,
    Content,
    model_files,
    place_in_hub,
    qwen_gguf,
    safetensors,
    write,
)
from tests.models.single import FOUR, config, found, without
from tests.sweep import examples


def weights(*entries: Mapping[str, object]) -> bytes:
    """A weight file whose header has these entries, with bytes for a small one."""
    text = json.dumps({str(at): entry for at, entry in enumerate(entries)}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(100)


DAMAGED: dict[str, tuple[dict[str, Content], str]] = {
    "no config": (without("config.json"), "config.json is missing"),
    "broken config": (without() | {"config.json": "{\n  oops"}, "config.json is not valid JSON (line 2)"),
    "config of another kind": (without() | {"config.json": "[1]"}, "config.json holds no JSON object"),
    "config in no encoding": (without() | {"config.json": b"\x22\xff\x22"}, "config.json is not valid JSON"),
    "a number beyond reason": (without() | {"config.json": "1" * 5000}, "config.json is not valid JSON"),
    "deeply nested config": (without() | {"config.json": "[" * 200_000}, "config.json is not valid JSON"),
    "broken tokenizer config": (
        without() | {"tokenizer_config.json": "{"},
        "tokenizer_config.json is not valid JSON (line 1)",
    ),
    "no tokenizer": (without("tokenizer.json"), "the tokenizer is missing (tokenizer.json or tokenizer.model)"),
    "no weights": (without("model.safetensors"), "no weights were downloaded"),
    "an index alone": (
        without("model.safetensors") | {"model.safetensors.index.json": {"weight_map": {"a": "model-a.safetensors"}}},
        "partial download: 1 of 1 weight files missing (model-a.safetensors)",
    ),
    "a broken index": (
        without("model.safetensors") | {"model.safetensors.index.json": "{"},
        "model.safetensors.index.json is not valid JSON (line 1)",
    ),
    "pickled weights": (
        without("model.safetensors") | {"pytorch_model.bin": b"\x80\x02"},
        "the weights are pickled (.bin, .pt), which is never loaded: get a safetensors version",
    ),
    "old MLX weights": (
        without("model.safetensors") | {"weights.npz": b"PK"},
        "the weights are in the old .npz format: get a safetensors version",
    ),
    "weights of another name": (
        without("model.safetensors") | {"weights.safetensors": safetensors({"a": ("F16", (1,))})},
        "no file is called model*.safetensors, the only weights that mlx-lm reads",
    ),
    "an adapter": (
        without("model.safetensors") | {"adapters.safetensors": b"", "adapter_config.json": {}},
        "an adapter (LoRA), not a whole model",
    ),
    "empty weights": (without() | {"model.safetensors": b""}, "model.safetensors is not a safetensors file"),
    "an error page": (
        without() | {"model.safetensors": b"<!doctype html>" * 9},
        "model.safetensors is not a safetensors file",
    ),
    "a header that is no object": (
        without() | {"model.safetensors": b"\x04" + bytes(7) + b"[12]"},
        "model.safetensors has a broken header",
    ),
    "weights left to Git LFS": (
        without() | {"model.safetensors": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"},
        "model.safetensors is a Git LFS pointer, not weights: fetch it with git lfs pull",
    ),
    "weights cut off": (
        without() | {"model.safetensors": safetensors({"a": ("F16", (600,))}).head + bytes(200)},
        "model.safetensors is cut off: 309 B of 1.3 kB are here",
    ),
    "a tensor that is longer than its shape": (
        without() | {"model.safetensors": weights({"dtype": "F16", "shape": [2], "data_offsets": [0, 6]})},
        "model.safetensors has a broken header",
    ),
    "a shape of fractions": (
        without() | {"model.safetensors": weights({"dtype": "F16", "shape": [2.0], "data_offsets": [0, 4]})},
        "model.safetensors has a broken header",
    ),
    "two tensors in one place": (
        without() | {"model.safetensors": weights(*[{"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}] * 2)},
        "model.safetensors has a broken header",
    ),
    "more layers than tensors": (
        config(num_hidden_layers=10**9),
        "config.json says num_hidden_layers = 1000000000, and its weights have room for",
    ),
    "more experts than anything": (
        config(num_experts=10**400),
        "and its weights have room for",
    ),
    "a template of a megabyte": (
        without() | {"chat_template.jinja": "x" * 300_000},
        "its chat template has more than 262,144 characters, too many to be one",
    ),
    "files with code": (config(model_file=["evil.py"]), "it needs remote code (['evil.py']), which is never run"),
    "a pipeline of diffusion": (without() | {"model_index.json": {}}, "a diffusion pipeline, not a language model"),
    "an embedding model": (
        without() | {"config_sentence_transformers.json": {}},
        "an embedding model, not a language model",
    ),
    "another architecture": (config(model_type="bert"), "mlx-lm has no architecture bert"),
    "remote code for another architecture": (
        config(model_type="moose", auto_map={"AutoModel": "modeling_moose.Moose", "AutoConfig": "moose.Config"}),
        "it needs remote code (modeling_moose.py, moose.py), which is never run: mlx-lm has no architecture moose",
    ),
    "a foreign quantization": (
        config(quantization=None, quantization_config={"quant_method": "bitsandbytes"}),
        "it is quantized with bitsandbytes, which mlx-lm does not read",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_model_is_listed_with_a_plain_sentence(case: str, tmp_path: Path) -> None:
    files, sentence = DAMAGED[case]
    model = found(tmp_path, files)
    assert any(problem.startswith(sentence) or sentence in problem for problem in model.problems), model.problems
    assert not model.usable


@examples(60)
@given(data=st.data())
def test_no_bytes_whatever_make_the_search_fail(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("mutated")
    sound: dict[str, bytes] = {
        "model.safetensors": safetensors({"a.weight": ("U32", (4, 8)), "a.scales": ("BF16", (4, 1))}).head,
        "model.gguf": qwen_gguf().head,
        "config.json": json.dumps(QWEN_7B.config() | FOUR.config()).encode(),
        "tokenizer_config.json": b'{"chat_template": "{{ tools }}"}',
    }
    for name, content in sound.items():
        at, gap = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, 9))
        write(folder / name, content[:at] + data.draw(st.binary(max_size=12)) + content[at + gap :])
    assert len(find_models(ModelRoots(extra=(folder,)), architectures={"qwen2"})) == 2


@examples(100)
@given(
    entries=st.dictionaries(
        st.sampled_from([*QWEN_7B.config(), "quantization", "text_config", "layer_types", "auto_map", "model_file"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
            max_leaves=5,
        ),
    )
)
def test_no_config_whatever_makes_the_search_fail(
    entries: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = {"config.json": json.dumps(entries), "model.safetensors": safetensors(FOUR.matrix("a", 64, 64))}
    cache = tmp_path_factory.mktemp("hub")
    place_in_hub(cache, "some/model", files)
    assert len(find_models(ModelRoots(hub_caches=(cache,)), architectures={"qwen2"})) == 1


def test_code_that_a_known_architecture_brings_along_is_not_needed(tmp_path: Path) -> None:
    assert found(tmp_path, config(auto_map={"AutoModel": "modeling_qwen2.Qwen2"})).usable


def test_the_installed_mlx_lm_is_asked_for_its_architectures(tmp_path: Path) -> None:
    place_in_hub(tmp_path, "some/sound", without())
    place_in_hub(tmp_path, "some/mistral", config(model_type="mistral"))
    place_in_hub(tmp_path, "some/foreign", config(model_type="bert"))
    models = find_models(ModelRoots(hub_caches=(tmp_path,)))
    assert {model.id: model.usable for model in models} == {
        "some/foreign": False,
        "some/mistral": True,
        "some/sound": True,
    }


def test_the_names_that_mlx_lm_serves_by_another_module_are_known() -> None:
    installed, known = find_spec("mlx_lm"), native_architectures()
    assert installed is not None
    assert known is not None
    source = Path(str(installed.origin)).with_name("utils.py").read_text()
    remapped = re.search(r"^MODEL_REMAPPING = (\{.*?^\})", source, re.MULTILINE | re.DOTALL)
    assert remapped is not None
    assert known >= ast.literal_eval(remapped[1]).keys()


def test_a_link_whose_blob_is_gone_counts_as_missing(tmp_path: Path) -> None:
    snapshot = place_in_hub(tmp_path, "some/model", model_files(QWEN_7B, FOUR, parts=2))
    (snapshot / "model-00002-of-00002.safetensors").resolve().unlink()
    (model,) = find_models(ModelRoots(hub_caches=(tmp_path,)), architectures={"qwen2"})
    assert model.problems == ("partial download: 1 of 2 weight files missing (model-00002-of-00002.safetensors)",)


def test_half_a_download_of_something_else_does_not_condemn_a_complete_model(tmp_path: Path) -> None:
    snapshot = place_in_hub(tmp_path, "some/model", without())
    write(snapshot.parents[1] / "blobs" / "ff.incomplete", b"")
    (model,) = find_models(ModelRoots(hub_caches=(tmp_path,)), architectures={"qwen2"})
    assert model.usable


def test_a_download_that_has_only_begun_is_listed(tmp_path: Path) -> None:
    write(tmp_path / "models--some--model" / "blobs" / "ff.incomplete", b"")
    (model,) = find_models(ModelRoots(hub_caches=(tmp_path,)))
    assert model.id == "some/model"
    assert "partial download: no weights yet, 1 half-downloaded" in model.problems
