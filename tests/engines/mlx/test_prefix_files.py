"""The files of kept prefixes: what is found, what is thrown away, what they take and who may read them."""

import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core
import pytest

from mcp_local_llm.engines.mlx.prefix.disk import HEADER_BYTES, PrefixDisk
from mcp_local_llm.engines.mlx.prefix.disk_files import STALE_S, PrefixFiles
from tests.engines.mlx.kept_prefixes import LENGTH, MIB, always, entry, files_of, key, never

# mlx declares its types in part only.
mx: Any = mlx.core


def test_the_longest_unused_go_first_whatever_model_they_belong_to(root: Path) -> None:
    path = root
    for number, (name, first) in enumerate((("other", 1), ("model", 2), ("model", 3))):
        assert PrefixDisk(PrefixFiles(root, name, MIB)).save(entry(first=first), never)
        path = max(files_of(root), key=lambda path: path.stat().st_mtime)
        os.utime(path, (1000 + number, 1000 + number))
    new = entry(first=4)
    # Room for one file, and for another with the most that its header may take.
    limit = path.stat().st_size + new.nbytes + 2 * len(new.key) + HEADER_BYTES
    small = PrefixDisk(PrefixFiles(root, "model", limit))
    assert small.take(key(LENGTH + 1, first=2), LENGTH, 0) is not None
    assert small.save(new, never)
    assert sum(path.stat().st_size for path in files_of(root)) <= limit
    assert [first for first in (2, 3, 4) if small.take(key(LENGTH + 1, first=first), LENGTH, 0)] == [2, 4]
    assert not (root / "other").exists(), "an empty folder stayed"


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def change_a_value(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-500] ^= 1
    path.write_bytes(content)


def cut_in_the_header(path: Path) -> None:
    os.truncate(path, 100)


def fill_with_something_else(path: Path) -> None:
    path.write_bytes(b"\xff" * 500)


def replace_by_weights(path: Path) -> None:
    mx.save_safetensors(str(path), {"weight": mx.ones((4, 4))})


@pytest.mark.parametrize(
    "damage", [cut, change_a_value, cut_in_the_header, fill_with_something_else, replace_by_weights, os.unlink]
)
@pytest.mark.parametrize("seen", [True, False], ids=["seen before", "new"])
def test_a_damaged_file_is_a_miss_and_removed(
    disk: PrefixDisk, root: Path, damage: Callable[[Path], None], *, seen: bool
) -> None:
    assert disk.save(entry(), never)
    if seen:
        assert disk.take(key(LENGTH), LENGTH - 1, 0) is not None
    damage(files_of(root)[0])
    assert disk.take(key(LENGTH), LENGTH - 1, 0) is None
    assert files_of(root) == []


def test_a_damaged_file_does_not_stand_in_the_way_of_a_shorter_one(disk: PrefixDisk, root: Path) -> None:
    assert disk.save(entry(2000), never)
    (short,) = files_of(root)
    assert disk.save(entry(6000), never)
    (long,) = (path for path in files_of(root) if path != short)
    change_a_value(long)
    found = disk.take(key(5000), 4999, 0)
    assert found is not None
    assert found.length == 2000
    assert files_of(root) == [short]


def test_a_write_that_is_given_up_leaves_nothing_behind_and_can_be_done_again(disk: PrefixDisk, root: Path) -> None:
    assert not disk.save(entry(), always)
    assert files_of(root) == []
    assert disk.save(entry(), never)
    assert len(files_of(root)) == 1


def test_a_full_disk_leaves_nothing_behind(root: Path) -> None:
    def save(sink: Any) -> None:
        sink.write(memoryview(b"half"))
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        PrefixFiles(root, "model", MIB).write(1000, save, never)
    assert files_of(root) == []


def test_what_a_crash_left_behind_goes_after_an_hour(disk: PrefixDisk, root: Path) -> None:
    folder = root / "model"
    root.mkdir(mode=0o700, parents=True)
    folder.mkdir()
    old, young = folder / "old.part", folder / "young.part"
    for path, age in ((old, STALE_S + 60), (young, STALE_S - 600)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age, time.time() - age))
    assert disk.save(entry(), never)
    assert not old.exists()
    assert young.exists()


def test_only_the_user_can_read_what_is_written(disk: PrefixDisk, root: Path) -> None:
    assert disk.save(entry(), never)
    (path,) = files_of(root)
    modes = [stat.S_IMODE(place.stat().st_mode) for place in (root, path.parent, path)]
    assert [oct(mode) for mode in modes] == ["0o700", "0o700", "0o600"]


@pytest.mark.fault(
    "A second user of the machine",
    "the folder of kept prompts can be entered by others",
    promised="nothing in it is read, nothing is written",
    tries=1,
)
def test_a_folder_that_others_can_enter_is_neither_read_nor_written(
    disk: PrefixDisk, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert disk.save(entry(), never)
    root.chmod(0o755)
    assert disk.take(key(LENGTH), LENGTH - 1, 0) is None
    assert disk.save(entry(first=5), never)
    assert len(files_of(root)) == 1
    assert len(caplog.messages) == 2
    assert all("only this user" in message and str(root) in message for message in caplog.messages)


def test_a_folder_that_cannot_be_made_is_told_once_and_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file stands here")
    disk = PrefixDisk(PrefixFiles(tmp_path / "cache" / "prefixes", "model", MIB))
    for first in (1, 2):
        assert disk.save(entry(first=first), never)
        assert disk.take(key(LENGTH, first=first), LENGTH - 1, 0) is None
    assert len(caplog.messages) == len(set(caplog.messages)) <= 2
