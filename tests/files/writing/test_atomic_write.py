"""Whole files or none, and never elsewhere."""

import ctypes
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mcp_local_llm.files.writing.atomic_write import TEMPORARY, read_previous, write_whole
from mcp_local_llm.files.writing.targets import Target
from mcp_local_llm.values.errors import FileAccessError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = Path(os.path.realpath(tmp_path)) / "root"
    folder.mkdir()
    return folder


def replace(target: Target, content: bytes) -> None:
    write_whole(target, content, read_previous(target))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def at_most(size: int) -> Generator[None]:
    """Files of this process may have so many bytes: what a full disk does to a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_new_file_gets_the_users_default_mode_and_its_folders(root: Path) -> None:
    mask = os.umask(0o027)
    try:
        replace(Target(root / "a/b/c.txt", root), b"hello\n")
    finally:
        os.umask(mask)
    assert (root / "a/b/c.txt").read_bytes() == b"hello\n"
    assert stat.S_IMODE((root / "a/b/c.txt").stat().st_mode) == 0o640
    assert names(root / "a/b") == ["c.txt"]


@pytest.mark.parametrize("mode", [0o755, 0o600, 0o664, 0o700])
def test_a_replaced_file_keeps_its_mode(root: Path, mode: int) -> None:
    path = root / "run.sh"
    path.write_bytes(b"old")
    path.chmod(mode)
    replace(Target(path, root), b"new")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", mode)


def test_a_name_that_is_taken_meanwhile_is_left_alone(root: Path) -> None:
    target = Target(root / "a.txt", root)
    previous = read_previous(target)
    target.path.write_bytes(b"the user's")
    with pytest.raises(FileAccessError, match="appeared") as caught:
        write_whole(target, b"mine", previous)
    assert caught.value.kind == "exists"
    assert target.path.read_bytes() == b"the user's"
    assert names(root) == ["a.txt"]


def test_a_file_that_the_user_edits_meanwhile_is_left_alone(root: Path) -> None:
    target = Target(root / "a.txt", root)
    target.path.write_bytes(b"old")
    previous = read_previous(target)
    target.path.write_bytes(b"edited")
    with pytest.raises(FileAccessError) as caught:
        write_whole(target, b"mine", previous)
    assert caught.value.kind == "changed"
    assert target.path.read_bytes() == b"edited"
    target.path.unlink()
    with pytest.raises(FileAccessError):
        write_whole(target, b"mine", previous)
    assert names(root) == []


@pytest.mark.parametrize("old", [b"old", None])
def test_a_full_disk_leaves_everything_as_it_was(root: Path, old: bytes | None) -> None:
    target = Target(root / "a.txt", root)
    if old is not None:
        target.path.write_bytes(old)
    previous = read_previous(target)
    with at_most(100), pytest.raises(FileAccessError) as caught:
        write_whole(target, b"x" * 1000, previous)
    assert caught.value.kind == "disk"
    assert names(root) == ([] if old is None else ["a.txt"])
    assert old is None or target.path.read_bytes() == old


def test_a_read_only_file_is_refused_before_anything_is_computed(root: Path) -> None:
    path = root / "a.txt"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(FileAccessError) as caught:
        read_previous(Target(path, root))
    assert caught.value.kind == "read-only"


def test_links_that_appear_after_the_check_are_not_followed(root: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"theirs")
    (root / "dir").symlink_to(outside)
    for name in ("dir/new.txt", "dir/file"):
        with pytest.raises(FileAccessError) as caught:
            write_whole(Target(root / name, root), b"mine", None)
        assert caught.value.kind == "link"
    (root / "link").symlink_to(outside / "file")
    with pytest.raises(FileAccessError):
        read_previous(Target(root / "link", root))
    with pytest.raises(FileAccessError):
        write_whole(Target(root / "link", root), b"mine", None)
    assert names(outside) == ["file"]
    assert (outside / "file").read_bytes() == b"theirs"


def test_a_root_that_became_a_link_is_not_followed(root: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    root.rename(root.parent / "moved")
    root.symlink_to(outside)
    with pytest.raises(FileAccessError):
        replace(Target(root / "a.txt", root), b"mine")
    assert names(outside) == []


def test_a_parent_of_the_root_that_became_a_link_is_noticed(tmp_path: Path) -> None:
    top = Path(os.path.realpath(tmp_path))
    (top / "home/root").mkdir(parents=True)
    (top / "theirs/root").mkdir(parents=True)
    (top / "home").rename(top / "away")
    (top / "home").symlink_to(top / "theirs")
    with pytest.raises(FileAccessError):
        replace(Target(top / "home/root/a.txt", top / "home/root"), b"mine")
    assert names(top / "theirs/root") == []


def test_a_hard_link_is_replaced_and_not_written_through(root: Path) -> None:
    outside = root.parent / "outside.txt"
    outside.write_bytes(b"theirs")
    os.link(outside, root / "a.txt")
    replace(Target(root / "a.txt", root), b"mine")
    assert (outside.read_bytes(), (root / "a.txt").read_bytes()) == (b"theirs", b"mine")


@pytest.mark.skipif(sys.platform != "linux", reason="exchanges names with renameat2")
def test_six_hundred_writes_while_a_folder_is_exchanged_with_a_link_leave_nothing_outside(root: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (root / "dir").mkdir()
    (root / "swap").symlink_to(outside)
    library, done = ctypes.CDLL(None), threading.Event()

    def exchange() -> None:
        while not done.is_set():
            library.renameat2(-100, bytes(root / "dir"), -100, bytes(root / "swap"), 2)

    swapper = threading.Thread(target=exchange)
    swapper.start()
    written = refused = 0
    try:
        for number in range(600):
            try:
                write_whole(Target(root / f"dir/{number}.txt", root), b"mine", None)
                written += 1
            except FileAccessError:
                refused += 1
    finally:
        done.set()
        swapper.join()
    assert names(outside) == []
    assert written + refused == 600


def test_what_a_killed_process_left_unfinished_is_removed_by_the_next_write(root: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    (root / f"{TEMPORARY}{gone.pid}-abc").write_bytes(b"half")
    (root / f"{TEMPORARY}{os.getpid()}-abc").write_bytes(b"of this process")
    (root / f"{TEMPORARY}notes").write_bytes(b"the user's")
    replace(Target(root / "a.txt", root), b"x")
    assert names(root) == sorted([f"{TEMPORARY}{os.getpid()}-abc", f"{TEMPORARY}notes", "a.txt"])
