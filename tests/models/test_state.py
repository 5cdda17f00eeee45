"""The file that keeps the choice of model."""

import os
from pathlib import Path

import pytest

from mcp_local_llm.models.choice import MAX_BYTES, ChoiceFile
from mcp_local_llm.values.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> ChoiceFile:
    return ChoiceFile(tmp_path / "mlx-mcp" / "active_model")


def put(file: ChoiceFile, content: bytes) -> None:
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(content)


def test_what_is_written_is_read_and_is_one_line(file: ChoiceFile) -> None:
    file.write("mlx-community/Qwen3-4B-4bit")
    file.write("mlx-community/Qwen3-8B-4bit")
    assert file.read() == "mlx-community/Qwen3-8B-4bit"
    assert file.path.read_bytes() == b"mlx-community/Qwen3-8B-4bit\n"


def test_writing_leaves_no_other_file_behind(file: ChoiceFile) -> None:
    file.write("tiny")
    assert [path.name for path in file.path.parent.iterdir()] == ["active_model"]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_file_that_others_wrote_may_have_a_mark_no_line_end_or_more_lines(file: ChoiceFile, mark: bytes) -> None:
    put(file, mark + b"  mlx-community/Qwen3-4B-4bit  \r\nsecond line\n")
    assert file.read() == "mlx-community/Qwen3-4B-4bit"


@pytest.mark.parametrize("content", [None, b"", b"\n \n"])
def test_no_file_and_an_empty_one_are_no_choice(file: ChoiceFile, content: bytes | None) -> None:
    if content is not None:
        put(file, content)
    assert file.read() is None


def test_bytes_that_are_no_text_are_refused_with_the_way_out(file: ChoiceFile) -> None:
    put(file, b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"cannot be read.*Remove it, or choose with set_model"):
        file.read()


@pytest.mark.parametrize("length", [MAX_BYTES + 1, MAX_BYTES * 10])
def test_a_file_longer_than_a_name_is_refused(file: ChoiceFile, length: int) -> None:
    put(file, b"x" * length)
    with pytest.raises(ConfigError, match=r"cannot be read: it is larger than 4,096 bytes\. Remove it"):
        file.read()


def test_a_fifo_in_its_place_is_refused_at_once(file: ChoiceFile) -> None:
    file.path.parent.mkdir(parents=True)
    os.mkfifo(file.path)
    with pytest.raises(ConfigError, match="it is not a regular file"):
        file.read()
    file.write("tiny")
    assert file.read() == "tiny"


def test_a_folder_in_its_place_is_refused(file: ChoiceFile) -> None:
    file.path.mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be read"):
        file.read()
    with pytest.raises(ConfigError, match="could not be saved"):
        file.write("tiny")
    assert os.listdir(file.path.parent) == ["active_model"]


def test_a_failed_write_keeps_the_old_choice(file: ChoiceFile, tmp_path: Path) -> None:
    blocked = ChoiceFile(tmp_path / "file" / "active_model")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigError, match="could not be saved"):
        blocked.write("tiny")
    file.write("first")
    assert file.read() == "first"
