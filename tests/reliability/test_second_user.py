"""Another user of this machine gets at nothing of ours, even where our own process was started with umask 000."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.clients import WAIT_S
from tests.doors.http.test_serve import serve
from tests.loopback_hub import LoopbackHub, running
from tests.model_cache import TINY
from tests.reliability import second_user
from tests.reliability.proofs import PROVE, Table
from tests.reliability.second_user import ACTIONS
from tests.reliability.steady import Steady
from tests.source import ROOT

GROUP = "A second user of the machine"
WIDE_OPEN = ("sh", "-c", 'umask 000; exec "$0" -m mcp_local_llm "$@"', sys.executable)
"""A program whose files would be everybody's, if it did not see to them itself."""
NAME = "some/tiny-4bit"
KEEP = """
import sys
from pathlib import Path
from mcp_local_llm.files.writing.state import SECTIONS, StateFolder
for section in SECTIONS:
    StateFolder(Path(sys.argv[1])).keep(section, "kept.txt", b"private")
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@dataclass(frozen=True)
class Victim:
    """A user whose home anybody may enter, with a file of each kind that this program writes.

    Attributes:
        server: holds a model.
    """

    server: Steady
    home: Path

    def paths(self, thing: str) -> list[Path]:
        """Return the files or folders of a kind; at least one is there."""
        folder, pattern, _ = THINGS[thing]
        found = sorted(path for path in (self.home / folder).glob(pattern))
        assert found, f"{thing}: nothing is there"
        return found


STATE, CACHE, CONFIG = ".local/state/mcp-local-llm", ".cache/mcp-local-llm", ".config"
HUB = f".cache/huggingface/hub/models--{NAME.replace('/', '--')}"
OPEN_TO_READ = ("write", "replace")
FILES = ("read", "write", "replace")
THINGS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "the folder of lock and socket": ("run", "mcp-local-llm", FILES),
    "the socket of the process that holds the model": ("run/mcp-local-llm", "holder.sock", ACTIONS[1:]),
    "the lock": ("run/mcp-local-llm", "holder.lock", FILES),
    "the settings": (f"{CONFIG}/mcp-local-llm", "config.toml", FILES),
    "the folder of the settings": (CONFIG, "mcp-local-llm", FILES),
    "the saved choice": (f"{CONFIG}/mlx-mcp", "active_model", FILES),
    "the state folder": (".local/state", "mcp-local-llm", FILES),
    "old versions of files, and drafts that were taken back": (STATE, "[vr]e*/kept.txt", FILES),
    "long answers, and rows of unfinished calls": (STATE, "[ac]*/kept.txt", FILES),
    "any other file of the state folder: measured speeds, logs, reports": (STATE, "*", FILES),
    "what install keeps to undo itself": (STATE, "install/*", FILES),
    "prompts that are kept on the disk": (CACHE, "prefixes/**/*.safetensors", FILES),
    "the folders of kept prompts": (CACHE, "prefixes/**", FILES),
    "a downloaded model": (HUB, "snapshots/*/*.safetensors", OPEN_TO_READ),
    "the folders of a downloaded model": (HUB, "[sbr]*", OPEN_TO_READ),
}
"""What is called so → the folder in the home, the pattern in it, what is tried. A downloaded model is no secret."""


def command(server: Steady, *words: str, **variables: str) -> None:
    """Run a command of the program with umask 000."""
    environ = server.environ | {"WATCHED_LOG": os.devnull} | variables
    done = subprocess.run([*WIDE_OPEN, *words], env=environ, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def victim() -> Iterator[Victim]:
    with tempfile.TemporaryDirectory(prefix="victim-", dir="/tmp") as folder:
        home = Path(folder)
        home.chmod(0o755)
        (home / ".codex").mkdir()
        (home / ".codex" / "config.toml").write_text("# mine\n")
        server = Steady(home, {"MCP_LOCAL_LLM_PREFIX_DISK_MB": "64"}, command=WIDE_OPEN)
        try:
            command(server, "config", "set", "queue_size", "8")
            command(server, "install", "--client", "codex", "--yes")
            files = {path.name: path.read_bytes() for path in TINY.iterdir() if path.is_file()}
            with running(LoopbackHub({NAME: files})) as hub:
                command(server, "pull", NAME, HF_HUB_OFFLINE="0", HF_ENDPOINT=hub.endpoint)
            failed, text = server.result(server.call("set_model", name="tiny"))
            assert not failed, text
            failed, text = server.chat("tiny", "Read this. " + "A long text. " * 400)
            assert not failed, text
            # The unload writes what was read onto the disk.
            failed, text = server.result(server.call("set_model", name=NAME))
            assert not failed, text
            server.lives()
            keep = f"umask 000; exec {sys.executable} -c '{KEEP}' {home / STATE}"
            subprocess.run(["sh", "-c", keep], env=server.environ, check=True)
            yield Victim(server, home)
        finally:
            server.close()


def tried(tries: list[tuple[str, str]], times: int = 1) -> list[str]:
    """Let another user try these; return how each ended, the first round first."""
    done = subprocess.run(
        [sys.executable, second_user.__file__, json.dumps(tries), str(times)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.fault(GROUP, "{thing}: another user reads, writes or replaces it, or connects to it", promised="refused")
def test_another_user_is_refused(victim: Victim, thing: str, tries: int) -> None:
    _, _, actions = THINGS[thing]
    attempts = [(action, str(path)) for path in victim.paths(thing) for action in actions]
    outcomes = tried(attempts, tries)
    assert {outcome for outcome in outcomes if outcome != "refused"} == set(), (attempts, outcomes)
    if "connect" in actions:
        victim.server.lives()


@pytest.mark.fault(
    GROUP, "all of them once more, for the table of who can do what", promised="the table is what was seen", tries=1
)
def test_the_matrix_says_who_can_do_what(victim: Victim, request: pytest.FixtureRequest, tries: int) -> None:
    open_file = victim.home / "open.txt"
    open_file.write_text("for all")
    assert tried([("read", str(open_file))]) == ["had b'for all'"], "the second user does not come as far as the home"
    rows: list[list[str]] = []
    for thing, (_, _, asked) in THINGS.items():
        path = str(victim.paths(thing)[0])
        outcomes = dict(zip(asked, tried([(action, path) for action in asked], tries), strict=True))
        readable = "as your umask says" if asked == OPEN_TO_READ else "–"
        rows.append([thing, *(outcomes.get(action, readable if action == "read" else "–") for action in ACTIONS)])
    assert {cell for row in rows for cell in row[1:]} == {"refused", "–", "as your umask says"}
    folder: Path | None = request.config.getoption(PROVE)
    if folder:
        rows.append(["the HTTP door, with a key", "–", "–", "–", "401"])
        rows.append(["the HTTP door, without a key", "–", "–", "–", "may ask the model, as any program here"])
        text = "A second user tries each of these; the program was started with umask 000, in a home open to all."
        Table("A second user: who can do what", text, ("thing", *ACTIONS), rows).save(folder)


STEERING = (
    "/v1/set_model",
    "/v1/unload",
    "/v1/status",
    "/v1/files",
    "/drain",
    "/unload",
    "/v1/models/../../etc/passwd",
)


@pytest.mark.fault(
    GROUP, "another user asks the HTTP door on loopback, which has a key", promised="refused: 401, nothing is told"
)
def test_a_door_with_a_key_is_closed_to_another_user(environ: dict[str, str], tries: int) -> None:
    with (
        serve(environ | {"MCP_LOCAL_LLM_API_KEY": "correct-horse"}) as door,
        httpx.Client(base_url=door.url, timeout=WAIT_S) as client,
    ):
        for attempt in range(tries):
            path = ("/v1/models", "/v1/chat/completions", "/metrics", "/v1/completions")[attempt % 4]
            answer = client.request("POST" if "completions" in path else "GET", path.removeprefix("/v1"), json={})
            assert answer.status_code in (401, 404)
            assert "tiny" not in answer.text


@pytest.mark.fault(
    GROUP,
    "another user asks the HTTP door on loopback, which has no key",
    promised="it may ask the model, as any program of this machine; it reads no file and steers nothing",
)
def test_a_door_without_a_key_gives_the_model_and_nothing_else(environ: dict[str, str], tries: int) -> None:
    with serve(environ) as door, httpx.Client(base_url=door.url, timeout=WAIT_S) as client:
        assert client.get("models").status_code == 200
        for attempt in range(tries):
            path = STEERING[attempt % len(STEERING)]
            assert client.post(path, json={}).status_code in (404, 405)
            asked = {"model": "tiny", "messages": [{"role": "user", "content": "x"}], "files": ["/etc/passwd"]}
            answer = client.post("chat/completions", json=asked | {"max_tokens": 5})
            assert "root:" not in answer.text


PLANT = """
mkdir "$3/hidden"
mount --bind /tmp "$3/hidden"
mount -t tmpfs -o mode=1777 tmpfs /tmp
case "$4" in /tmp/*) mkdir -p "$4"; mount --bind "$3/hidden/${4#/tmp/}" "$4" ;; esac
cd /
if [ "$2" = link ]; then ln -s "$3" /tmp/mcp-local-llm-0; else
mkdir /tmp/mcp-local-llm-0
if [ "$2" = socket ]; then
"$0" -c "import socket; s = socket.socket(socket.AF_UNIX); s.bind('/tmp/mcp-local-llm-0/holder.sock')"
else : > /tmp/mcp-local-llm-0/holder.lock; fi
chmod 777 /tmp/mcp-local-llm-0/*; chmod 777 /tmp/mcp-local-llm-0; chown -R 65534 /tmp/mcp-local-llm-0; fi
exec "$0" -m mcp_local_llm
"""
"""Gives the process a /tmp of its own; a checkout that lies in /tmp stays there."""


@pytest.mark.parametrize("planted", ["socket", "lock", "link"])
@pytest.mark.fault(
    GROUP,
    "a folder with a {planted} is planted in /tmp, where a very long home makes us look",
    promised="nothing in it is used; the error names the folder and the remedy",
    tries=3,
)
def test_what_is_planted_in_tmp_is_not_used(planted: str, attempt: int) -> None:
    if sys.platform != "linux" or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("only root on Linux can have a /tmp of its own")
    with tempfile.TemporaryDirectory(prefix="long-", dir="/var/tmp") as folder:
        home = Path(folder) / ("h" * (80 + attempt))
        home.mkdir()
        where = {"XDG_RUNTIME_DIR": str(home / "run")}
        start = ("unshare", "--mount", "sh", "-c", PLANT, sys.executable, "x", planted, folder, str(ROOT))
        server = Steady(home, where, command=start)
        try:
            failed, text = server.chat("tiny")
            assert failed
            assert "/tmp/mcp-local-llm-0" in text
            assert "XDG_RUNTIME_DIR" in text
        finally:
            server.close()


@pytest.mark.fault(
    GROUP,
    "the settings file can be written by everybody",
    promised="refused: every call names the file and the remedy",
    tries=3,
)
def test_settings_that_everybody_may_write_are_not_obeyed(home: Path, attempt: int) -> None:
    path = home / ".config" / "mcp-local-llm" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(f'llama_server = "/tmp/evil-{attempt}"\n')
    path.chmod(0o646)
    server = Steady(home)
    try:
        failed, text = server.chat("tiny")
        assert failed
        assert f"chmod go-w {path}" in text
    finally:
        server.close()
