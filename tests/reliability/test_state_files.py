"""Each file that the program keeps or reads is something else: every tool answers or says what to do.

Files of models are in tests/process/test_blocking_files.py.
"""

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from mcp_local_llm.agents.install.install import installer
from mcp_local_llm.bench.reports import ReportFolder
from mcp_local_llm.files.writing.atomic_write import Previous
from mcp_local_llm.files.writing.journal import Journal, JournalRow
from mcp_local_llm.files.writing.state import CALLS, VERSIONS, StateFolder
from mcp_local_llm.files.writing.versions import keep_version
from mcp_local_llm.residency.lease import Lease, LeaseOwner
from mcp_local_llm.values.errors import ConfigError, InvalidRequestError
from tests.clients import WAIT_S, private_environ
from tests.doors.cli.terminal import terminal
from tests.reliability.places import KINDS, bound_user, fingerprint, put, server
from tests.reliability.raw_client import RawClient, raw_client
from tests.sharing.sessions import remove_runtime

GROUP = "State files"
ANSWERS = "every tool answers or says what to do; the process ends with its client; nothing is replaced in silence"
PLAIN_MEMORY = 1e9
"""Far above what the process takes, and far below a file of 2 GB."""
STATE = ".local/state/mcp-local-llm"
CHOICE, REGISTRY = ".config/mlx-mcp/active_model", ".config/ai-stack/registry.json"
SPEEDS = (f"{STATE}/speeds.json", f"{STATE}/prefill_speeds.json")
TEMPLATE = ".config/mcp-local-llm/templates/mine.md"
LA = "Repeat the word la forever."
EMPTY = ("missing", "empty", "a dangling link")
"""Kinds that count as no file, or as one without content."""
CONTENT = ("binary", "JSON of 100,000 levels")
"""Kinds that can be read, and hold nothing of use."""
NO_FILE = ("a folder", "a FIFO", "a link to itself", "a dangling link", "a link to a device")
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def shared_environ(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, str]]:
    home = tmp_path_factory.mktemp("state")
    environ = private_environ(home)
    (home / "project").mkdir()
    yield environ | {"CLAUDE_PROJECT_DIR": str(home / "project")}
    remove_runtime(environ)


@pytest.fixture(scope="module")
def client(shared_environ: dict[str, str]) -> Generator[RawClient]:
    """A client of one server for all tests; at the end the process ends with it."""
    with raw_client(shared_environ, server()) as client:
        yield client
        client.close_stdin()
        assert client.ended(within=20) == 0
        assert "Traceback" not in client.errors()


@pytest.mark.fault(GROUP, "choice, registry, measured speeds and a template of tasks are {kind}", ANSWERS)
@each_kind
def test_tools_answer_beside_files_that_are_none(
    client: RawClient, shared_environ: dict[str, str], kind: str, tries: int
) -> None:
    home = Path(shared_environ["HOME"])
    for _ in range(tries):
        there = {name: fingerprint(put(home / name, kind)) for name in (CHOICE, REGISTRY, *SPEEDS, TEMPLATE)}
        told = client.text("status") + client.text("list_models")
        if kind not in EMPTY:
            assert all(f"{home / name} " in told for name in (CHOICE, REGISTRY)), told
        # Enough tokens for a measurement.
        assert "la la" in client.text("chat", model="tiny", message=LA, max_tokens=64, thinking=False)
        assert "mine" in client.text("draft", path="x.md", message="Hello", template="mine")
        assert fingerprint(home / CHOICE) == there[CHOICE]
        saved = "could not be saved" not in client.text("set_model", name="tiny")
        assert saved is (kind not in ("a folder", "a link to itself", "a link to a device"))
        assert not saved or (home / CHOICE).read_text() == "tiny\n"
        assert psutil.Process(client.process.pid).memory_info().rss < PLAIN_MEMORY
        kept = () if kind in (*EMPTY, *CONTENT) else SPEEDS
        for name in (REGISTRY, TEMPLATE, *kept):
            assert fingerprint(home / name) == there[name], name
        for name in there:
            put(home / name, "missing")


@pytest.mark.fault(GROUP, "the settings are {kind}", ANSWERS, tries=3)
@each_kind
def test_tools_tell_of_settings_that_are_none(environ: dict[str, str], home: Path, kind: str, attempt: int) -> None:
    path = home / ".config/mcp-local-llm/config.toml"
    there = fingerprint(put(path, kind))
    with raw_client(environ, server()) as client:
        for tool in ("status", "list_models"):
            assert (f"{path} cannot be read: " in client.text(tool)) is (kind not in EMPTY)
        client.close_stdin()
        assert client.ended(within=20) == 0
    command = bound_user(sys.executable, "-m", "mcp_local_llm", "config", "set", "preload", "true")
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (done.returncode == 0) is (kind in EMPTY), done.stderr
    assert kind in EMPTY or (str(path) in done.stderr and fingerprint(path) == there)


FOLDERS = {
    "the state folder": STATE,
    "the folder of old versions": f"{STATE}/{VERSIONS}",
    "the folder of settings": ".config/mcp-local-llm",
    "the folder of the choice": ".config/mlx-mcp",
    "the cache": ".cache",
}


@pytest.mark.fault(GROUP, "{what} is a FIFO, a file or a dangling link", ANSWERS, tries=3)
@pytest.mark.parametrize("what", FOLDERS)
def test_folders_that_are_none(environ: dict[str, str], home: Path, what: str, attempt: int) -> None:
    there = fingerprint(put(home / FOLDERS[what], ("a FIFO", "binary", "a dangling link")[attempt]))
    (home / "project").mkdir()
    file = home / "project" / "old.md"
    file.write_text("An old text.\n")
    with raw_client(environ | {"CLAUDE_PROJECT_DIR": str(home / "project")}, server()) as client:
        client.text("status")
        client.text("list_models")
        told = client.text("draft", path="old.md", message="Hello", thinking=False, overwrite=True)
        if "cannot be read: " in told:
            assert str(home / FOLDERS[what]) in told
        else:
            # Where the old version cannot be kept, nothing is replaced.
            assert (file.read_text() == "An old text.\n") is (f"{file} was not written" in told), told
        chosen = client.text("set_model", name="tiny")
        assert not (home / CHOICE).is_file() or "tiny" in chosen
        client.close_stdin()
        assert client.ended(within=20) == 0
        assert "Traceback" not in client.errors()
    assert fingerprint(home / FOLDERS[what]) == there


@pytest.mark.fault(GROUP, "the kept version of a file that a draft replaced is {kind}", ANSWERS)
@each_kind
def test_restoring_a_version_that_is_none(
    client: RawClient, shared_environ: dict[str, str], kind: str, tries: int
) -> None:
    home = Path(shared_environ["HOME"])
    state = StateFolder(home / STATE)
    for number in range(tries):
        file = home / "project" / f"{KINDS[kind].__name__}-{number}.md"
        file.write_text("The new text.\n")
        put(keep_version(state, file, Previous(b"The old text.\n", 0o644, (0, 0), (0, 0, 0, 0))), kind)
        told = client.text("draft", path=str(file), message="", restore=True)
        if kind == "missing":
            assert "No older version" in told
        elif kind in ("empty", *CONTENT):
            assert "the older version is back" in told
        else:
            assert "cannot be read" in told, told
            assert file.read_text() == "The new text.\n"


@pytest.mark.fault(GROUP, "the rows of a call that ended early are {kind}", "the call begins anew")
@each_kind
def test_rows_that_are_none(tmp_path: Path, kind: str, tries: int) -> None:
    state = StateFolder(tmp_path / "state")
    for number in range(tries):
        path = put(state.section(CALLS) / f"key{number}-00.jsonl", kind)
        there = fingerprint(path)
        journal = Journal(state, f"key{number}")
        assert journal.rows == ()
        journal.add(JournalRow("a.txt", "digest", "answer"))
        journal.close()
        again = Journal(state, f"key{number}")
        assert again.taken_up("a.txt", "digest") == "answer"
        again.close()
        # No more than 500 MB are kept.
        gone = kind in ("missing", "empty", "of mode 000", "2 GB long", *CONTENT)
        assert gone or fingerprint(path) == there


@pytest.mark.fault(GROUP, "what `install` has kept for `uninstall` is {kind}", "our entry goes, and nothing else")
@each_kind
def test_uninstalling_without_what_was_kept(home: Path, kind: str, tries: int) -> None:
    settings = home / ".cursor" / "mcp.json"
    settings.parent.mkdir()
    clients = installer(home, {"HOME": str(home), "PATH": ""}, "Linux")
    for number in range(tries):
        settings.write_text('{"mcpServers": {"other": {"command": "other"}}}')
        for change in clients.install(["cursor"]):
            assert change.make
            change.make()
        assert "local-llm" in settings.read_text()
        kept = sorted((home / STATE / "install").iterdir())
        for path in (kept, kept[:1], kept[1:])[number % 3]:
            put(path, kind)
        for change in clients.uninstall(["cursor"]):
            assert change.make
            change.make()
        assert "local-llm" not in settings.read_text()
        assert '"other"' in settings.read_text()
        for path in kept:
            put(path, "missing")


@pytest.mark.fault(GROUP, "the report of a measurement is {kind}", "what cannot be read is named")
@each_kind
def test_reports_that_are_none(tmp_path: Path, kind: str, tries: int) -> None:
    for _ in range(tries):
        path = put(tmp_path / "tiny.json", kind)
        named = "Reports: none" if kind == "missing" else f"{path} is no report of bench"
        with pytest.raises(InvalidRequestError, match=named):
            ReportFolder(tmp_path).load("tiny")


@pytest.mark.fault(GROUP, "the history of the interactive chat is {kind}", "the chat goes on without one", tries=3)
@pytest.mark.parametrize("kind", ["a FIFO", "a folder", "2 GB long", "a link to itself", "a link to a device"])
def test_a_history_that_is_none(environ: dict[str, str], home: Path, kind: str, attempt: int) -> None:
    put(home / STATE / "chat_history", kind)
    with terminal(environ, "chat") as screen:
        screen.until("what you type is not kept")
        screen.until(">>>")
        screen.type("\x04")
        assert screen.ended() == 0


@pytest.mark.fault("Locks and clocks", "the lock file is {kind}", "the model can be held, or the error names the file")
@each_kind
def test_a_lock_that_is_something_else(tmp_path: Path, kind: str, tries: int) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    for _ in range(tries):
        path = put(folder / "holder.lock", kind)
        there = fingerprint(path)
        first, second = Lease(folder), Lease(folder)
        assert first.owner() is None
        if kind in NO_FILE:
            with pytest.raises(ConfigError, match=f"{path} cannot be used: .* Remove it"):
                first.take("1")
            assert not second.elsewhere()
            assert fingerprint(path) == there
        else:
            assert first.take("1")
            assert not second.take("1")
            assert second.owner() == LeaseOwner(os.getpid(), "1")
            first.release()
