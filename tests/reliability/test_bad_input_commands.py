"""Command lines that nobody should type: each ends by itself, with an exit code and words instead of a trace."""

import signal
import subprocess
import sys
from collections.abc import Generator

import pytest
from hypothesis import strategies as st

from tests.clients import WAIT_S, private_environ
from tests.doors.http.test_serve import serve
from tests.reliability.drawn import LEAKS, TEXTS, drawn

GROUP = "Bad input"
COMMANDS: dict[str, tuple[str, ...]] = {
    "chat": (
        "-m",
        "-s",
        "-f",
        "--schema",
        "--tools",
        "--max-tokens",
        "--temperature",
        "--seed",
        "--template",
        "--json",
    ),
    "models": ("--json",),
    "use": ("--json",),
    "pull": ("--json",),
    "rm": ("--yes", "--all-revisions"),
    "status": ("--json",),
    "ps": ("--json",),
    "unload": ("--force",),
    "clean": ("--yes",),
    "prompt": (),
    "config": ("set", "unset", "get", "model", "batch_size", "roots", "endpoints", "api_key"),
    "launch": ("--model", "--print"),
    "install": ("--print", "--yes"),
    "uninstall": ("--yes",),
    "bench": ("--json", "--tasks"),
}
"""Command → words that it knows. Left out are those that take long or start what lasts; `serve` gets an odd port."""
ENDS = {0, 1, 2, 3}


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, str]]:
    """The environment of commands that attach to one `serve`, so that none of them has to load a model."""
    home = tmp_path_factory.mktemp("home")
    project = home / "project"
    project.mkdir()
    variables = {
        **private_environ(home),
        "MCP_LOCAL_LLM_MAX_GENERATION_TOKENS": "4",
        "CLAUDE_PROJECT_DIR": str(project),
        "TERM": "dumb",
    }
    with serve(variables, "--model", "tiny") as process:
        yield variables
        _, _, errors = process.stop(signal.SIGTERM)
        assert "Traceback" not in errors, errors[-3000:]


def argument(text: str) -> bytes:
    """A word as the kernel hands it over: no NUL, and half of a surrogate pair as bytes that are no UTF-8."""
    return text.encode("utf-8", "surrogateescape" if text == BAD else "surrogatepass").replace(b"\0", b"")


def lines(command: str) -> "st.SearchStrategy[tuple[str, list[str]]]":
    words = st.sampled_from(COMMANDS[command]) | TEXTS if COMMANDS[command] else TEXTS
    return st.tuples(st.just(command), st.lists(words, max_size=4))


LINES = st.one_of(
    *map(lines, COMMANDS),
    st.tuples(TEXTS, st.lists(TEXTS, max_size=2)),
    TEXTS.map(lambda text: ("serve", ["--port", f"x{text}"])),
    TEXTS.map(lambda text: ("doctor", ["--ports", f"x{text}"])),
)


BAD = "\udcff"
"""As Python reads a byte that is no UTF-8."""
UNREADABLE = [
    ("chat", ["hi", "-s", BAD]),
    ("chat", [BAD]),
    ("chat", ["hi", "-f", BAD]),
    ("use", [BAD]),
    ("rm", [BAD]),
    ("config", ["set", "model", BAD]),
    ("config", ["set", "roots", BAD]),
]


@pytest.mark.fault(
    GROUP,
    "command lines with any words, numbers, options and bytes",
    promised="each ends by itself with a documented exit code, and says why without a trace",
    tries=40,
)
def test_a_command_line_ends_with_words_and_an_exit_code(environ: dict[str, str], tries: int) -> None:
    wrong: list[str] = []
    odd = drawn(LINES.filter(lambda line: bool(line[0].strip())), tries)
    for command, words in (*UNREADABLE[: tries - 1], *odd):
        line = [argument(word) for word in (command, *words)]
        done = subprocess.run(
            [sys.executable, "-m", "mcp_local_llm", *line],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=WAIT_S,
        )
        told = (done.stderr + done.stdout).decode("utf-8", "replace")
        silent = done.returncode in (1, 2) and not told.strip()
        if done.returncode not in ENDS or silent or LEAKS.search(told):
            wrong.append(f"{line}: {done.returncode} {told[-600:]}")
    assert "\n".join(wrong) == ""
