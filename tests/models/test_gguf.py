from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_local_llm.models.find import ModelRoots, find_models
from tests.model_cache import (
    Fact,
    Words,
    gguf,
    qwen_gguf,
    write,
)


def test_gguf_files_that_are_split_are_one_model_and_a_missing_part_is_told(tmp_path: Path) -> None:
    facts: dict[str, Fact] = {
        "general.architecture": "qwen3moe",
        "qwen3moe.block_count": 2,
        "qwen3moe.attention.head_count_kv": (2, 4),
        "qwen3moe.attention.key_length": 64,
        "qwen3moe.attention.value_length": 32,
        "qwen3moe.expert_count": 8,
        "qwen3moe.expert_used_count": 2,
        "general.file_type": 7,
    }
    write(tmp_path / "m-00001-of-00003.gguf", gguf(facts, {"a": (10, 10)}, 1000))
    write(tmp_path / "m-00002-of-00003.gguf", gguf({}, {"blk.0.ffn_up_exps.weight": (8, 10, 10)}, 2000, version=2))
    (model,) = find_models(ModelRoots(extra=(tmp_path,)))
    assert model.id == "m"
    assert model.problems == ("partial download: 1 of 3 weight files missing",)
    assert (model.parameters, model.active_parameters, model.weight_bytes) == (900, 300, 3000)
    assert model.kv_bytes_per_token == 6 * 96 * 2
    assert str(model.quantization) == "Q8_0"


BROKEN_GGUF: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "another file": lambda: b"<!doctype html>" * 9,
    "cut off": lambda: qwen_gguf().head[:200],
    "cut off in an array": lambda: qwen_gguf().head[:-400],
    "an old version": lambda: gguf({}, {}, 0, version=1).head,
    "counts beyond reason": lambda: b"GGUF" + b"\x03\x00\x00\x00" + b"\xff" * 16,
    "dimensions beyond reason": lambda: gguf({}, {"a": ()}, 0).head[:-16] + b"\xff\xff\xff\x7f" + bytes(2_000_000),
    "words beyond reason": lambda: gguf({"a": Words(())}, {}, 0).head[:-8] + b"\xff\xff\xff\x7f" + bytes(2_000_000),
    "lengths beyond reason": lambda: gguf({"a": 1}, {}, 0).head[:24] + b"\xff" * 40,
}


@pytest.mark.parametrize("case", BROKEN_GGUF)
def test_a_broken_gguf_file_is_listed_as_such(case: str, tmp_path: Path) -> None:
    write(tmp_path / "m.gguf", BROKEN_GGUF[case]())
    (model,) = find_models(ModelRoots(extra=(tmp_path,)))
    assert model.format == "gguf"
    assert model.problems in (
        ("m.gguf has a broken or unfinished header",),
        ("m.gguf is not a GGUF file",),
    )


def test_a_gguf_file_whose_tensors_lie_behind_its_end_is_cut_off(tmp_path: Path) -> None:
    whole = gguf({"general.architecture": "qwen2"}, {"a": (8, 8)}, 0)
    write(tmp_path / "m.gguf", whole.head[:-8] + (10**9).to_bytes(8, "little"))
    (model,) = find_models(ModelRoots(extra=(tmp_path,)))
    assert model.problems[0].startswith("m.gguf is cut off: ")
