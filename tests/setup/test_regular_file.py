"""Small files that may be anything: read in bounded time and memory, or refused in words."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_local_llm.setup.regular_file import open_regular, read_regular


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def link_to_a_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("target"))
    path.symlink_to("target")


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def unix_socket(path: Path) -> None:
    # A short relative name: the path of a socket must stay below 104 bytes.
    here = os.open(path.parent, os.O_RDONLY)
    before = os.open(".", os.O_RDONLY)
    try:
        os.fchdir(here)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.fchdir(before)
        os.close(before)
        os.close(here)


@pytest.mark.parametrize("make", [fifo, folder, link_to_a_fifo, link_to_a_device, unix_socket])
def test_what_is_no_regular_file_is_refused_at_once(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "file"
    make(path)
    with pytest.raises(OSError, match="not a regular file") as caught:
        read_regular(path, 100)
    assert caught.value.filename == str(path)
    assert "not a regular file" in (caught.value.strerror or "")


@pytest.mark.parametrize(("length", "limit"), [(0, 0), (0, 10), (10, 10), (9, 10)])
def test_a_file_up_to_the_limit_is_read_whole(length: int, limit: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * length)
    assert read_regular(tmp_path / "file", limit) == b"x" * length


@pytest.mark.parametrize(("length", "limit"), [(1, 0), (11, 10), (2**30, 4096)])
def test_a_longer_file_is_refused_with_the_limit(length: int, limit: int, tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(length)  # sparse: takes no room on the disk
    with pytest.raises(OSError, match=f"larger than {limit:,} bytes"):
        read_regular(tmp_path / "file", limit)


@pytest.mark.parametrize("name", ["missing", "nul\0inside"])
def test_a_missing_file_is_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / name, 10)


def test_a_link_to_a_regular_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"text")
    (tmp_path / "link").symlink_to("target")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"text"
