"""`doctor --bundle`: the report that a user sends with an issue, which holds nothing private."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients import WAIT_S
from tests.doors.cli.terminal import terminal
from tests.model_cache import write

USER, SYSTEM, KEY, OTHER_KEY, PASSWORD, BOX, ROOT, PATTERN, HOST, PROJECT = PRIVATE = (
    "bassoonist",
    "You are a xylophone-4711.",
    "trombone-4713-key",
    "clarinet-4714-key",
    "contrabass-4716",
    "studio-4717",
    "/srv/harmonica-4718",
    "piccolo-4719",
    "celesta-4720",
    "glockenspiel-4721",
)
CONFIG = f"""
api_key = "{KEY}"
roots = ["{ROOT}"]
secret_names = ["{PATTERN}"]
allowed_hosts = ["{HOST}"]
[[endpoints]]
name = "gone"
url = "http://127.0.0.1:9/v1"
api_key_env = "OTHER"
models = ["one"]
[profiles.polite]
model = "tiny"
system = "{SYSTEM}"
"""
REGISTRY = {
    "models": {"coding": "acme/coder"},
    "endpoints": {"x": f"http://me:{PASSWORD}@{BOX}.lan/v1"},
    "note": SYSTEM,
}
LINE = f"2026-01-01T00:00:00.000Z 1 INFO 1a2b3c4d calls: of {USER}, {KEY}\x1b[2J"


@pytest.fixture
def home(home: Path) -> Path:
    return home / USER


@pytest.fixture
def environ(environ: dict[str, str], home: Path) -> dict[str, str]:
    """A home with private words wherever some may be."""
    write(home / ".config" / "mcp-local-llm" / "config.toml", CONFIG)
    write(home / ".config" / "ai-stack" / "registry.json", json.dumps(REGISTRY))
    write(home / ".local" / "state" / "mcp-local-llm" / "mcp-local-llm.log", f"{LINE}\n")
    (home / PROJECT).mkdir()
    path = str(Path(sys.executable).parent)
    return environ | {"HOME": str(home), "USER": USER, "OTHER": OTHER_KEY, "HF_TOKEN": OTHER_KEY, "PATH": path}


def bundle(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mcp_local_llm", "doctor", "--ports", "none", *arguments]
    folder = Path(environ["HOME"]) / PROJECT
    return subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, timeout=2 * WAIT_S)


def test_it_is_shown_and_written_for_this_user_alone_and_nothing_in_it_is_private(
    environ: dict[str, str], home: Path
) -> None:
    done = bundle(environ, "--bundle", "report.txt", "--yes")
    file = home / PROJECT / "report.txt"
    assert (done.returncode, done.stderr) == (0, f"mcp-local-llm: the report is in {file}, and was sent to nobody\n")
    text = file.read_text(encoding="utf-8")
    assert done.stdout == text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [word for word in (*PRIVATE, *SYSTEM.split()[-1:]) if word in text] == []
    assert "\x1b" not in text
    for title, line in {
        "platform": "mlx-lm: ",
        "findings": ": endpoint: gone (http://127.0.0.1:9/v1) cannot be reached",
        "settings": "api_key = set, not shown (config.toml)",
        "registry": "coding: acme/coder",
        "models": "tiny: mlx from builtin, 1.8 MB, qwen3",
        "lease": "no process holds it",
        "log": "2026-01-01T00:00:00.000Z 1 INFO 1a2b3c4d calls: of USER, KEY [2J",
    }.items():
        section = text.partition(f"\n== {title}\n")[2].partition("\n== ")[0]
        assert [row for row in section.splitlines() if line in row], (title, section)
    assert "roots = 1 given, not shown (config.toml)" in text
    assert "profiles = polite: tiny (a system prompt) (config.toml)" in text
    assert "endpoint x: http://…@HOST/v1" in text
    # What is there already is never written over.
    again = bundle(environ, "--bundle", "report.txt", "--yes")
    assert again.returncode == 2
    assert "report.txt exists already" in again.stderr
    assert file.read_text(encoding="utf-8") == text


@pytest.mark.slow
def test_on_a_terminal_it_asks_after_it_was_shown(environ: dict[str, str], home: Path) -> None:
    # A wrong settings file must not keep the report from being made, and its values stay out of it.
    write(home / ".config" / "mcp-local-llm" / "config.toml", f'batch_size = "{PATTERN}"\n')
    files: dict[str, Path] = {answer: home / f"{answer}.txt" for answer in "yn"}
    for answer, code in (("n", 1), ("y", 0)):
        with terminal(environ, "doctor", "--ports", "none", "--bundle", str(files[answer])) as asked:
            asked.until("== log")
            asked.until(f"Write this into {files[answer]}? [y/N]:")
            assert not files[answer].exists()
            asked.type(f"{answer}\r")
            assert asked.ended() == code
    assert not files["n"].exists()
    text = files["y"].read_text(encoding="utf-8")
    assert "they are wrong, as `doctor` says; these are the defaults" in text
    assert PATTERN not in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--bundle"], "nobody can be asked here: add --yes"),
        (["report.txt"], "FILE and --yes belong to --bundle"),
        (["--yes"], "FILE and --yes belong to --bundle"),
        (["--bundle", "--json", "--yes"], "--bundle goes without --json"),
        (["--bundle", "no/such/report.txt", "--yes"], "no/such is no folder"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_read(
    environ: dict[str, str], home: Path, arguments: list[str], says: str
) -> None:
    done = bundle(environ, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert list((home / PROJECT).iterdir()) == []
