"""The lease: one holder a machine, freed by the kernel."""

import fcntl
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_local_llm.residency.lease import Lease, LeaseOwner
from mcp_local_llm.setup.places import MAX_SOCKET_PATH, runtime_folder
from mcp_local_llm.values.errors import ConfigError

HOLD = """
import sys
from pathlib import Path
from mcp_local_llm.residency.lease import Lease
lease = Lease(Path(sys.argv[1]))
print(lease.take("9.9.9"), flush=True)
sys.stdin.read()
"""


def holding_process(folder: Path) -> subprocess.Popen[str]:
    """A process that has taken the lease and keeps it until its stdin ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_the_first_takes_it_and_the_second_does_not(tmp_path: Path) -> None:
    first, second = Lease(tmp_path / "run"), Lease(tmp_path / "run")
    assert first.take("1.0.0")
    assert not second.take("1.0.0")
    assert second.elsewhere()
    assert not first.elsewhere()
    assert second.owner() == LeaseOwner(os.getpid(), "1.0.0")


@pytest.mark.parametrize(
    "content", ["", "x", "[]", "\udcff", '{"pid": 1e400, "version": "1"}', '{"pid": "x", "version": 1}', "[" * 4000]
)
def test_a_lock_file_that_names_nobody_has_no_owner(tmp_path: Path, content: str) -> None:
    lease = Lease(tmp_path)
    lease.take("1.0.0")
    (tmp_path / "holder.lock").write_bytes(os.fsencode(content))
    assert lease.owner() is None


def test_taking_it_twice_is_one_lease(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    assert lease.take("1.0.0")
    assert lease.take("1.0.0")


def test_a_released_lease_can_be_taken(tmp_path: Path) -> None:
    first, second = Lease(tmp_path), Lease(tmp_path)
    first.take("1.0.0")
    first.release()
    assert first.owner() is None
    assert not second.elsewhere()
    assert second.take("1.0.0")


def test_the_kernel_frees_it_when_the_holder_is_killed(tmp_path: Path) -> None:
    with holding_process(tmp_path) as process:
        lease = Lease(tmp_path)
        assert not lease.take("1.0.0")
        assert lease.owner() == LeaseOwner(process.pid, "9.9.9")
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert lease.take("1.0.0")


def test_whoever_takes_it_removes_a_socket_that_was_left_behind(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    lease.socket.touch()
    lease.take("1.0.0")
    assert not lease.socket.exists()


def test_an_owner_whose_lock_was_removed_takes_it_again_unless_another_process_was_first(tmp_path: Path) -> None:
    first, second = Lease(tmp_path), Lease(tmp_path)
    first.take("1.0.0")
    (tmp_path / "holder.lock").unlink()
    assert not first.intact
    assert first.renew("1.0.0")
    assert not second.take("1.0.0")
    (tmp_path / "holder.lock").unlink()
    assert second.take("1.0.0")
    assert not first.renew("1.0.0")
    assert not first.held
    assert second.renew("1.0.0")


def test_an_owner_whose_lock_was_removed_leaves_the_socket_of_another_alone(tmp_path: Path) -> None:
    first, second = Lease(tmp_path), Lease(tmp_path)
    first.take("1.0.0")
    (tmp_path / "holder.lock").unlink()
    second.take("1.0.0")
    second.socket.touch()
    first.release()
    assert second.socket.exists()


def test_folder_and_lock_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    Lease(folder).take("1.0.0")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "holder.lock").stat().st_mode) == 0o600


def test_a_folder_that_is_open_to_others_is_refused_with_advice(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(ConfigError, match=f"chmod 700 {folder}"):
        Lease(folder).take("1.0.0")


def test_two_that_look_at_once_take_each_other_for_no_holder(tmp_path: Path) -> None:
    (tmp_path / "holder.lock").touch()
    with (tmp_path / "holder.lock").open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert not Lease(tmp_path).elsewhere()


@pytest.mark.fault(
    "A second user of the machine",
    "a link in place of the runtime folder",
    promised="refused with the folder's name",
    tries=1,
)
def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError):
        Lease(tmp_path / "link").take("1.0.0")


@pytest.mark.parametrize(
    ("environ", "system", "expected"),
    [
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, "Linux", "/run/user/7/mcp-local-llm"),
        ({"XDG_RUNTIME_DIR": "not/absolute"}, "Linux", "/home/u/.cache/mcp-local-llm/run"),
        ({}, "Linux", "/home/u/.cache/mcp-local-llm/run"),
        ({}, "Darwin", "/home/u/Library/Caches/mcp-local-llm"),
    ],
)
def test_the_runtime_folder_is_the_users(environ: dict[str, str], system: str, expected: str) -> None:
    assert runtime_folder(environ, Path("/home/u"), system=system, uid=7) == Path(expected)


def test_a_home_too_deep_for_a_socket_falls_back_to_a_folder_of_this_user() -> None:
    folder = runtime_folder({}, Path("/home/" + "u" * MAX_SOCKET_PATH), system="Linux", uid=7)
    assert folder == Path("/tmp/mcp-local-llm-7")
