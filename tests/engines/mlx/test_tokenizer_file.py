"""A tokenizer.json that would take all memory is refused before a library reads it; usual ones pass."""

import base64
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_local_llm.engines.mlx.load.tokenizer_file import TokenizerFileError, check_tokenizer, check_tokenizer_file
from mcp_local_llm.engines.mlx.load.weights import load
from mcp_local_llm.values.errors import ModelLoadError
from mcp_local_llm.values.model import ModelInfo
from tests.model_cache import TINY

Json = dict[str, Any]
ROWS = 768


def described(**parts: object) -> Json:
    return json.loads((TINY / "tokenizer.json").read_text()) | parts


def charsmap(*texts: bytes) -> str:
    return base64.b64encode(struct.pack("<I", 4) + b"trie" + b"\0".join(texts)).decode()


BYTES: Json = {"type": "ByteLevel"}
TEMPLATE: Json = {"type": "TemplateProcessing", "pair": [], "special_tokens": {}}
SEQUENCE: Json = {"Sequence": {"id": "A", "type_id": 0}}
SOUND: dict[str, Json] = {
    "tiny": described(),
    "sentencepiece": described(
        normalizer={
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        },
        decoder={"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
    ),
    "xlm-roberta": described(
        normalizer={
            "type": "Sequence",
            "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": charsmap(b"a", b"\xef\xbf\xbd" * 11)},
                {"type": "Strip", "strip_left": False, "strip_right": True},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"},
            ],
        }
    ),
    "bos and eos": described(
        post_processor={**TEMPLATE, "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, SEQUENCE]}
    ),
    "no parts": described(normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None),
}
HOSTILE: dict[str, tuple[Json, str]] = {
    "a list": (described(model=[]), "no model"),
    "added tokens of no kind": (described(added_tokens=5), "no list of added tokens"),
    "an id": (described(added_tokens=[{"id": 2**31, "content": "a"}]), "ids up to 2,147,483,648"),
    "many words": (described(model={"vocab": [["a", 0.0]] * 70_000}), "70,009 tokens"),
    "a long added token": (described(added_tokens=[{"id": 5, "content": "a" * 1001}]), "more than 1,000 characters"),
    "a long prefix": (described(model={"continuing_subword_prefix": "a" * 1001}), "continuing_subword_prefix"),
    "a table": (
        described(normalizer={"type": "Precompiled", "precompiled_charsmap": charsmap(b"a" * 9999)}),
        "the normalizer of tokenizer.json makes a text more than 256 times as long",
    ),
    "no table": (described(normalizer={"type": "Precompiled", "precompiled_charsmap": "?"}), "broken table"),
    "bytes of bytes": (described(pre_tokenizer={"type": "Sequence", "pretokenizers": [BYTES] * 9}), "pre_tokenizer"),
    "a text many times": (described(post_processor={**TEMPLATE, "single": [SEQUENCE] * 999}), "post_processor"),
    "a decoder": (described(decoder={"type": "Replace", "pattern": {"Regex": "a"}, "content": "b" * 999}), "decoder"),
}


@pytest.mark.parametrize("case", SOUND)
def test_usual_tokenizers_pass(case: str) -> None:
    check_tokenizer(SOUND[case], ROWS)


@pytest.mark.parametrize("case", HOSTILE)
def test_what_would_take_all_memory_is_refused(case: str) -> None:
    parts, words = HOSTILE[case]
    with pytest.raises(TokenizerFileError, match=words):
        check_tokenizer(parts, ROWS)


def test_a_folder_without_the_file_has_nothing_to_check(tmp_path: Path) -> None:
    check_tokenizer_file(tmp_path, ROWS)


CHANGES: list[Callable[[Path], object]] = [
    lambda folder: (folder / "model.safetensors").write_bytes(b"other"),
    lambda folder: (folder / "config.json").unlink(),
    lambda folder: (folder / "chat_template.json").write_text("{}"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_files_that_change_while_they_are_loaded_are_told(
    tiny: ModelInfo, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    for file in tiny.path.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())

    def report(done: int, total: int) -> None:
        change(tmp_path)

    with pytest.raises(ModelLoadError, match="tiny could not be loaded: its files changed meanwhile"):
        load(replace(tiny, path=tmp_path), report, lambda: False, None)
