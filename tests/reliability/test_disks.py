"""Disks that are full or read-only, and folders that may not be written: what was there stays, and calls are answered.

A draft's own file on a full disk is in tests/files/writing/test_drafts.py.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from mcp_local_llm.models.hub import Hub
from mcp_local_llm.values.errors import DownloadError, LocalLLMError
from tests.clients import WAIT_S, private_environ
from tests.models.hub.conftest import NAME, access, cache, hub, server
from tests.models.hub.test_download import ignore
from tests.reliability.places import bound_user
from tests.reliability.raw_client import GREETING, raw_client
from tests.reliability.writes import LONG, WRITES, room
from tests.sharing.sessions import remove_runtime

__all__ = ["access", "cache", "hub", "server"]

GROUP = "Disks and folders"
WHOLE = "what was there stays whole, nothing half written is left, and the same step works once there is room"


def contents(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.fault(GROUP, "the disk is full after any number of bytes of {what}", WHOLE)
@pytest.mark.parametrize("what", WRITES)
def test_what_does_not_fit_leaves_what_was_there(tmp_path: Path, what: str, tries: int) -> None:
    chance = random.Random(what)
    for number in range(tries):
        folder = tmp_path / str(number)
        folder.mkdir(mode=0o700)
        WRITES[what](folder, "old" * 100)
        there = contents(folder)
        with room(chance.choice([0, 1, chance.randrange(LONG)])), suppress(LocalLLMError, OSError):
            WRITES[what](folder, "new" * LONG)
        assert contents(folder) == there
        WRITES[what](folder, "new" * LONG)
        assert contents(folder) != there


@pytest.mark.fault(GROUP, "the disk is full after any number of bytes of a download", "it goes on once there is room")
async def test_a_download_that_does_not_fit_goes_on_later(hub: Hub, cache: Path, tries: int) -> None:
    chance = random.Random(1)
    repository = await hub.describe(NAME)
    largest = max(file.size for file in repository.files)
    for _ in range(tries):
        shutil.rmtree(cache, ignore_errors=True)
        with room(chance.randrange(largest)), pytest.raises(DownloadError, match=r"cannot be written to .*: File too"):
            await hub.fetch(repository, ignore)
        assert not list(cache.rglob("refs/main"))
        await hub.fetch(repository, ignore)
        (snapshot,) = cache.glob("*/snapshots/*")
        assert all((snapshot / file.name).stat().st_size == file.size for file in repository.files)


SERVER = (sys.executable, "-m", "mcp_local_llm")
MOUNT = 'mount -t tmpfs -o size=64k tmpfs "$HOME" && mkdir "$HOME/project" && echo old > "$HOME/project/old.md"'
FULL = f'{MOUNT} && (head -c 1000000 /dev/zero > "$HOME/fill" || true) 2>/dev/null; exec "$@"'
READ_ONLY = f'{MOUNT} && mount -o remount,ro "$HOME" && exec "$@"'


def limited(home: Path) -> Sequence[str]:
    (home / "project" / "old.md").write_text("old\n")
    return ("/bin/sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *SERVER)


def mounted(script: str) -> Callable[[Path], Sequence[str]]:
    """A disk of its own, which no other process sees."""

    def command(home: Path) -> Sequence[str]:
        unshare = shutil.which("unshare")
        probe = [str(unshare), "-m", "mount", "-t", "tmpfs", "tmpfs", str(home)]
        if unshare is None or subprocess.run(probe, capture_output=True, check=False).returncode:
            pytest.skip("a disk can be mounted for one process by root on Linux alone")
        return (unshare, "-m", "/bin/sh", "-c", script, "sh", *SERVER)

    return command


def unwritable(home: Path) -> Sequence[str]:
    (home / "project" / "old.md").write_text("old\n")
    for folder in (home / "project", home):
        folder.chmod(0o500)
    return bound_user(*SERVER)


HOMES: dict[str, Callable[[Path], Sequence[str]]] = {
    "has no room for a byte (RLIMIT_FSIZE)": limited,
    "is full (tmpfs)": mounted(FULL),
    "is read-only (tmpfs)": mounted(READ_ONLY),
    "may not be written": unwritable,
}


@pytest.mark.fault(
    GROUP,
    "the disk of home, state and project {how}",
    "chats are answered; a draft, a choice or a setting says that it was not written, and what was there stays",
    tries=3,
)
@pytest.mark.parametrize("how", HOMES)
def test_calls_are_answered_where_nothing_can_be_written(tmp_path: Path, how: str, attempt: int) -> None:
    home = tmp_path / "home"
    (home / "project").mkdir(parents=True)
    environ = private_environ(home) | {"CLAUDE_PROJECT_DIR": str(home / "project")}
    # The lease has a place of its own; see the test of its folder.
    environ |= {"XDG_RUNTIME_DIR": str(tmp_path / "r"), "MCP_LOCAL_LLM_PREFIX_DISK_MB": "100"}
    if len(environ["XDG_RUNTIME_DIR"]) > 70:
        environ["XDG_RUNTIME_DIR"] = f"/tmp/mcp-local-llm-test-{os.getpid()}"
    with raw_client(environ, HOMES[how](home)) as client:
        client.hello()
        assert "tiny" in client.text("list_models")
        for path in ("new.md", "old.md"):
            told = client.text("draft", path=path, message="Hello", thinking=False, overwrite=path == "old.md")
            assert re.match(f"{home / 'project' / path} (was|is) not written", told), told
        project = Path(f"/proc/{client.process.pid}/root", *(home / "project").parts[1:])
        assert {path.name: path.read_text() for path in project.iterdir()} == {"old.md": "old\n"}
        assert "could not be saved" in client.text("set_model", name="tiny")
        client.hello()
        client.close_stdin()
        assert client.ended(within=20) == 0
        assert "Traceback" not in client.errors()
    home.chmod(0o700)
    remove_runtime(environ)


RUNTIMES: dict[str, str] = {
    "may not be written": 'mkdir -m 500 "$XDG_RUNTIME_DIR"',
    "is a file": 'echo > "$XDG_RUNTIME_DIR"',
    "is a dangling link": 'ln -s nowhere/at/all "$XDG_RUNTIME_DIR"',
    "is open to others": 'mkdir -p "$XDG_RUNTIME_DIR/mcp-local-llm"; chmod 755 "$XDG_RUNTIME_DIR/mcp-local-llm"',
}


@pytest.mark.fault(
    GROUP,
    "the folder of lock and socket {how}",
    "what needs no model is answered; what needs one says which folder to mend, and works once that is done",
    tries=3,
)
@pytest.mark.parametrize("how", RUNTIMES)
def test_a_runtime_folder_that_cannot_be_used(tmp_path: Path, how: str, attempt: int) -> None:
    environ = private_environ(tmp_path) | {"XDG_RUNTIME_DIR": f"/tmp/mcp-local-llm-test-{os.getpid()}"}
    remove_runtime(environ)
    runtime = Path(environ["XDG_RUNTIME_DIR"])
    subprocess.run(["/bin/sh", "-c", RUNTIMES[how]], env=environ, check=True)
    try:
        with raw_client(environ, bound_user(*SERVER)) as client:
            assert "unloaded" in client.text("status")
            assert "tiny" in client.text("list_models")
            told = client.text("chat", message="Hello")
            assert str(runtime) in told
            assert "Set XDG_RUNTIME_DIR" in told or "chmod 700" in told or "Remove it" in told, told
            subprocess.run(["rm", "-rf", str(runtime)], check=True)
            assert client.text("chat", message="Hello") == GREETING
    finally:
        subprocess.run(["rm", "-rf", str(runtime)], check=True)


COMMANDS: dict[str, Sequence[str]] = {
    "config set": ("config", "set", "preload", "true"),
    "install": ("install", "--client", "cursor", "--yes"),
    "serve --install": ("serve", "--install"),
    "use": ("use", "tiny"),
}


@pytest.mark.fault(
    GROUP, "`{command}` where no byte can be written", "it fails with a sentence, and leaves nothing behind", tries=3
)
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_fail_in_order_where_nothing_can_be_written(
    environ: dict[str, str], home: Path, command: str, attempt: int
) -> None:
    (home / ".cursor").mkdir()
    (home / ".cursor" / "mcp.json").write_text(json.dumps({"mcpServers": {}}))
    there = contents(home)
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *SERVER, *COMMANDS[command]],
        env=environ,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode in (1, 2), done.stdout
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr + done.stdout, done
    left = contents(home)
    # Lock and log are of every process; nothing could be written into them.
    assert {name: text for name, text in left.items() if not name.endswith(("holder.lock", ".log"))} == there
    assert not any(text for name, text in left.items() if name.endswith(".log"))


@pytest.mark.fault(GROUP, "there is no home folder", "chats are answered; a choice says that it was not saved", tries=3)
def test_a_home_that_is_missing_is_told_by_what_needs_one(tmp_path: Path, attempt: int) -> None:
    environ = private_environ(tmp_path) | {"HOME": "/proc/nowhere"}
    with raw_client(environ) as client:
        client.hello()
        assert "could not be saved" in client.text("set_model", name="tiny")
    remove_runtime(environ)
