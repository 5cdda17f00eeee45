"""What a model, or an agent that calls it, cannot do: everything that a whole life asks of the kernel is looked at."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

from mcp_local_llm.setup.places import SOCKET, choice_file, prefix_folder, runtime_folder, settings_file, state_folder
from tests.clients import WAIT_S, private_environ
from tests.doors.http.door import question
from tests.doors.http.test_serve import serve
from tests.model_cache import place_tiny
from tests.reliability.isolation_trace import Trace, why_no_strace
from tests.sharing.sessions import GREETING, SMALL, remove_runtime
from tests.wire import Wire, open_wire

GROUP = "What a model or an agent cannot do"
WHOLE = "a whole life (start, load, chat, files, drafts, change of the model, refused calls) under strace"
LIFE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("list_models", {}),
    ("status", {}),
    ("chat", {"message": "Hello", "thinking": False}),
    ("chat", {"message": "Hello", "model": "tiny", "temperature": 1.5, "top_p": 0.9, "seed": 3, "max_tokens": 40}),
    ("chat", {"message": "Look.", "files": ["note*.txt", "git:HEAD"], "thinking": False, "max_tokens": 30}),
    ("chat", {"message": "Look.", "files": "note*.txt", "each_file": True, "thinking": False, "max_tokens": 30}),
    ("chat", {"message": "Ada is 36.", "response_schema": {"type": "object"}, "thinking": False, "max_tokens": 30}),
    ("draft", {"path": "a/new.txt", "message": "Hello", "thinking": False}),
    ("draft", {"path": "note0.txt", "message": "Reply with exactly OK", "thinking": False, "overwrite": True}),
    ("draft", {"path": "note0.txt", "restore": True}),
    ("draft", {"path": "{stem}.md", "message": "Look.", "files": "note*.txt", "each_file": True, "max_tokens": 30}),
    ("draft", {"path": "/etc/local-llm", "message": "Hello"}),
    ("draft", {"path": "../beside.txt", "message": "Hello"}),
    ("draft", {"path": ".git/hooks/post-commit", "message": "Hello"}),
    ("chat", {"message": "Look.", "files": "/etc/passwd"}),
    ("chat", {"message": "$(touch pwned) `touch pwned` | touch pwned ; touch pwned", "max_tokens": 20}),
    ("chat", {"message": "Look.", "files": "git:--output=pwned"}),
    ("set_model", {"name": SMALL}),
    ("set_model", {"name": "https://example.org/evil"}),
    ("set_model", {"name": "acme/never-fetched"}),
    ("quick_test", {}),
)
"""The calls of a whole life, those that must be refused among them."""

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Life:
    """What three processes did: one that holds the model, one attached to it, and one that serves HTTP."""

    home: Path
    environ: dict[str, str]
    holder: Trace
    attached: Trace
    server: Trace

    @property
    def traces(self) -> tuple[Trace, ...]:
        return (self.holder, self.attached, self.server)


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Generator[Life]:
    """Live once; the tests look at what it left."""
    if why := why_no_strace():
        pytest.skip(why)
    home = tmp_path_factory.mktemp("home")
    environ = prepared(home)
    traces = [Trace(home / f"trace-{name}") for name in ("holder", "attached", "server")]
    one = Life(home, environ, *traces)
    anyio.run(live, one)
    yield one
    remove_runtime(environ)


def prepared(home: Path) -> dict[str, str]:
    """The environment of a home with a project in git and a second model."""
    project = home / "project"
    project.mkdir()
    for number in range(3):
        (project / f"note{number}.txt").write_text(f"Note {number}.\n")
    for command in (("init", "-q"), ("add", "."), ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x")):
        subprocess.run(["git", *command], cwd=project, check=True)
    place_tiny(home / ".cache" / "huggingface" / "hub", SMALL)
    (home / "tmp").mkdir()
    settings = {"MCP_LOCAL_LLM_PREFIX_DISK_MB": "50", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(home / "tmp")}
    return private_environ(home) | settings | {"CLAUDE_PROJECT_DIR": str(project)}


async def live(life: Life) -> None:
    """Start, load, answer, draft, switch, list, refuse and end, in each of the three."""
    python = (sys.executable, "-m", "mcp_local_llm")
    async with open_wire(life.environ, command=[*life.holder.command, *python]) as holder:
        await calls(holder)
        async with open_wire(life.environ, command=[*life.attached.command, *python]) as attached:
            await calls(attached)
            with serve(life.environ, under=life.server.command) as served:
                await over_http(served.url)
                served.process.send_signal(signal.SIGTERM)
                await anyio.to_thread.run_sync(served.process.wait, WAIT_S)
            await attached.close_stdin()
            await attached.ended()
        await holder.close_stdin()
        await holder.ended()


async def calls(wire: Wire) -> None:
    for tool, arguments in LIFE:
        answer = await wire.answer(await wire.call(tool, **arguments))
        assert answer["result"]["content"]


async def over_http(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=WAIT_S) as http:
        for path in ("/chat/completions", "/responses", "/messages"):
            asked = question("Hello", max_tokens=500)
            reply = await http.post(path, json=asked if path != "/responses" else {"model": "", "input": "Hello"})
            assert reply.status_code == 200, reply.text
        assert (await http.post("/chat/completions", json={"model": "acme/evil", "messages": []})).status_code >= 400


@pytest.mark.fault(
    GROUP,
    f"{WHOLE}: the network",
    promised="sessions use the Unix socket of this user alone, and `serve` loopback",
)
def test_a_whole_life_reaches_no_network(life: Life, record_property: Any) -> None:
    record_property("tries", len(life.traces))
    holder_socket = str(runtime_folder(life.environ, life.home, system="Linux", uid=os.getuid()) / SOCKET)
    for trace in (life.holder, life.attached):
        assert trace.families() <= {"AF_UNIX"}
        assert trace.addresses() == {holder_socket}
    assert life.server.families() <= {"AF_UNIX", "AF_INET"}
    assert life.server.addresses() == {holder_socket, "127.0.0.1"}


@pytest.mark.fault(
    GROUP,
    f"{WHOLE}: what is written",
    promised="only the project and this program's own state, cache, settings and runtime folders change",
)
def test_a_whole_life_writes_to_the_project_and_its_own_places_alone(life: Life, record_property: Any) -> None:
    record_property("tries", len(life.traces))
    environ, home = life.environ, life.home
    own = (
        *(home / "project", state_folder(environ, home), prefix_folder(environ, home, "Linux")),
        *(settings_file(environ, home).parent, choice_file(environ, home).parent, Path("/dev/null")),
        runtime_folder(environ, home, system="Linux", uid=os.getuid()),
    )
    above = {parent for folder in own for parent in folder.parents}
    for trace in life.traces:
        # A folder that leads to one of them is made where it is missing.
        strange = {path for path in trace.changed() - above if not any(path.is_relative_to(folder) for folder in own)}
        assert strange == set()
    assert [*(home / "tmp").iterdir()] == []
    assert [path for path in home.rglob("*") if path.name == "pwned"] == []
    assert not (home / "beside.txt").exists()
    assert not (home / "project/.git/hooks/post-commit").exists()


@pytest.mark.fault(
    GROUP,
    f"{WHOLE}: programs that are run",
    promised="no program is run but git, by its own path, for a range of commits that a call names",
)
def test_a_whole_life_runs_git_and_nothing_else(life: Life, record_property: Any) -> None:
    record_property("tries", len(life.traces))
    git = shutil.which("git")
    for trace in (life.holder, life.attached):
        assert {*trace.commands()} == {git}
    assert life.server.commands() == []


@pytest.mark.fault(
    GROUP,
    f"{WHOLE}: what is opened in the folder for temporary files, where others can put libraries",
    promised="nothing",
)
def test_a_whole_life_loads_nothing_from_the_folder_for_temporary_files(life: Life, record_property: Any) -> None:
    record_property("tries", len(life.traces))
    for trace in life.traces:
        assert [path for path in trace.opened() if path.is_relative_to(life.home / "tmp")] == []
        assert [path for path in trace.opened() if path.is_relative_to("/tmp/mlx")] == []


@pytest.mark.fault(
    GROUP,
    "a life in a network namespace without any interface",
    promised="every call is answered as ever",
    tries=3,
)
async def test_a_life_without_a_network_is_like_any_other(environ: dict[str, str], home: Path, tries: int) -> None:
    apart = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], check=False).returncode != 0:
        pytest.skip("this machine lets nobody make a network namespace")
    for _ in range(tries):
        async with open_wire(environ, command=[*apart, sys.executable, "-m", "mcp_local_llm"]) as wire:
            asked = {"message": "Hello", "thinking": False, "temperature": 0}
            assert await wire.text(await wire.call("chat", **asked)) == GREETING
            switched = (await wire.answer(await wire.call("set_model", name="tiny")))["result"]
            assert not switched.get("isError"), switched
    await anyio.to_thread.run_sync(remove_runtime, environ)
