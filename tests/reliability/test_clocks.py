"""A clock that jumps, and files whose times lie in the past or the future. Also what a dead process left of a lease.

A lock that is something else is in test_state_files.py, a holder that is stopped in tests/sharing/test_trouble.py.
"""

import os
import random
import shutil
import socket
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from mcp_local_llm.engines.mlx.prefix.disk_files import PrefixFiles
from tests.clients import private_environ
from tests.model_cache import place_tiny
from tests.reliability.raw_client import RawClient, raw_client, until
from tests.sharing.sessions import remove_runtime, runtime

GROUP = "Locks and clocks"
DAY_S = 24 * 3600.0
YEAR_S = 365 * DAY_S
JUMPS = {
    "back to 1970": -time.time(),
    "back to 1960": -time.time() - 10 * YEAR_S,
    "a year back": -YEAR_S,
    "20 days ahead": 20 * DAY_S,
    "ahead to 2100": 74 * YEAR_S,
}
CLOCK = """
import os, time
true = time.time
def jumped():
    try:
        with open(os.environ["TEST_CLOCK"]) as file:
            return true() + float(file.read() or 0)
    except OSError:
        return true()
time.time = jumped
"""
"""Replaces the clock of a process: it jumps while the process runs, as a test writes it."""
DRAFT: dict[str, Any] = {"message": "Write.", "thinking": False, "response_schema": {"const": "written"}}
"""A draft whose answer is known: of another the built-in model may say the same word for ever, by the file's name."""


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, str]]:
    home = tmp_path_factory.mktemp("clocks")
    (home / "project").mkdir()
    (home / "patch").mkdir()
    (home / "patch" / "sitecustomize.py").write_text(CLOCK)
    place = {"CLAUDE_PROJECT_DIR": str(home / "project"), "PYTHONPATH": str(home / "patch")}
    environ = private_environ(home) | place | {"TEST_CLOCK": str(home / "clock")}
    yield environ
    remove_runtime(environ)


@pytest.fixture(scope="module")
def client(environ: dict[str, str]) -> Generator[RawClient]:
    with raw_client(environ) as client:
        client.hello()
        yield client
        assert "Traceback" not in client.errors()


@pytest.mark.fault(
    GROUP, "the clock jumps {jump} between two drafts", "calls are answered; restores bring back the last version first"
)
@pytest.mark.parametrize("jump", [jump for jump in JUMPS if "2100" not in jump])
def test_versions_come_back_in_their_order(client: RawClient, environ: dict[str, str], jump: str, tries: int) -> None:
    home = Path(environ["HOME"])
    for number in range(tries):
        file = home / "project" / f"{jump} {number}.json"
        for version, ahead in enumerate((0.0, JUMPS[jump], 60.0)):
            (home / "clock").write_text(str(ahead))
            file.write_text(f"version {version}\n")
            told = client.text("draft", path=str(file), overwrite=True, **DRAFT)
            assert "old version is kept" in told, told
        for version in (2, 1, 0):
            assert "the older version is back" in client.text("draft", path=str(file), message="", restore=True)
            assert file.read_text() == f"version {version}\n"
        (home / "clock").write_text("0")


@pytest.mark.fault(GROUP, "the clock jumps {jump} while the server runs", "every tool answers as before")
@pytest.mark.parametrize("jump", JUMPS)
def test_every_tool_answers_whatever_the_clock_says(
    client: RawClient, environ: dict[str, str], jump: str, tries: int
) -> None:
    home = Path(environ["HOME"])
    chance = random.Random(jump)
    for number in range(tries):
        (home / "clock").write_text(str(JUMPS[jump] + chance.uniform(-DAY_S, DAY_S)))
        client.hello()
        assert 0 <= client.status()["uptime_seconds"] < 3600
        assert "tiny" in client.text("list_models")
        told = client.text("draft", path=f"new {jump} {number}.json", **DRAFT)
        assert "was not written" not in told, told
        (home / "clock").write_text("0")


@pytest.mark.fault(
    GROUP, "files of a model have times of 1970, 2100 or now, in turn", "the model is listed and loads", tries=3
)
def test_files_of_a_model_may_have_any_time(environ: dict[str, str], client: RawClient, tries: int) -> None:
    folder = place_tiny(Path(environ["HOME"]) / ".cache" / "huggingface" / "hub", "org/dated")
    for _ in range(tries):
        for moment in (0.0, time.time() + 74 * YEAR_S, time.time()):
            for path in folder.iterdir():
                os.utime(path, (moment, moment))
            assert "org/dated" in client.text("list_models")
            assert client.text("chat", message="Hello", model="org/dated")
    client.text("set_model", name="tiny")


@pytest.mark.fault(GROUP, "half a prefix was left by a process with a clock of {year}", "the next write removes it")
@pytest.mark.parametrize("year", [1970, 2100])
def test_half_a_prefix_does_not_stay_for_ever(tmp_path: Path, year: int, tries: int) -> None:
    files = PrefixFiles(tmp_path / "prefixes", "model", 10**9)
    for _ in range(tries):
        files.write(10, lambda sink: sink.write(memoryview(b"whole")), lambda: False)
        left = tmp_path / "prefixes" / "model" / "left.part"
        left.touch()
        moment = (year - 1970) * YEAR_S
        os.utime(left, (moment, moment))
        files.write(10, lambda sink: sink.write(memoryview(b"whole")), lambda: False)
        assert not left.exists()


LEFT_BEHIND = {
    "a lock that names a dead process": '{"pid": 4194303, "version": "0.0.1"}',
    "a lock that names a process of something else": '{"pid": 1, "version": "99.0.0"}',
    "half a line in the lock": '{"pid": 12',
    "an empty lock": "",
}


@pytest.mark.fault(
    GROUP, "{left} and a socket without a listener are left", "the next call is answered at once", tries=3
)
@pytest.mark.parametrize("left", LEFT_BEHIND)
def test_what_a_dead_process_left_is_taken_over(tmp_path: Path, left: str, tries: int) -> None:
    environ = private_environ(tmp_path)
    folder = runtime(environ)
    with raw_client(environ) as client, raw_client(environ) as other:
        folder.mkdir(mode=0o700, parents=True)
        (folder / "holder.lock").write_text(LEFT_BEHIND[left])
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(folder / "holder.sock"))
        assert "unloaded" in other.text("status")
        client.hello()
        other.hello()
        assert other.status()["holder_pid"] == client.process.pid
    remove_runtime(environ)


@pytest.mark.fault(
    GROUP,
    "somebody removes the {what} of the process that holds the model",
    "within seconds one process holds the model again, and both sessions are answered",
    tries=3,
)
@pytest.mark.parametrize("what", ["lock", "socket", "runtime folder"])
def test_a_lease_whose_files_are_removed_is_found_again(tmp_path: Path, what: str, tries: int) -> None:
    environ = private_environ(tmp_path)
    folder = runtime(environ)
    with raw_client(environ) as client, raw_client(environ) as other:
        client.hello()
        for _ in range(tries):
            holder = client.status()["holder_pid"]
            assert other.status()["holder_pid"] == holder
            if what == "runtime folder":
                shutil.rmtree(folder)
            else:
                (folder / {"lock": "holder.lock", "socket": "holder.sock"}[what]).unlink()
            # Another session may come first, and take the lease; then the one before gives its model back.
            other.hello()
            until(lambda: client.status()["holder_pid"] == other.status()["holder_pid"] is not None)
            until(lambda: sum(one.status()["state"] == "ready" for one in (client, other)) == 2)
            client.hello()
            other.hello()
    remove_runtime(environ)
