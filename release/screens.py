"""Draws pictures of the terminal into docs/pictures: `python -m release.screens`.

Each program runs for real in a pseudo-terminal of 80 columns, in a home folder of its own, with the built-in model;
what stands on its screen at the end is drawn as SVG, in the reader's own font.
"""

import json
import os
import pty
import select
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import ioctl
from html import escape
from pathlib import Path
from struct import pack
from typing import Any

import pyte

from tests.client_programs.claude_program import CLAUDE
from tests.client_programs.scripted_claude import Block, call, results_of, scripted_claude, text

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "pictures"
COLUMNS = 80
SECONDS = 120
"""The longest that a program may take."""

WIDTH, HEIGHT = 8.4, 17.0
"""Of one character, in pixels at 14 pixels of height."""

COLOURS: Mapping[str, str] = {
    "default": "#d8d8d8", "black": "#555555", "red": "#e06c75", "green": "#98c379", "brown": "#e5c07b",
    "blue": "#61afef", "magenta": "#c678dd", "cyan": "#56b6c2", "white": "#ffffff",
}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """A program, and what is typed.

    Attributes:
        command: arguments of this program, or the whole command line with `whole`.
        typed: pairs of a text to wait for and keys to send then.
        until: the text that ends the scene; empty: the end of the program.
        rows: of the screen.
    """

    command: tuple[str, ...]
    typed: tuple[tuple[str, str], ...] = ()
    until: str = ""
    rows: int = 24
    whole: bool = False
    environ: Mapping[str, str] = field(default_factory=dict[str, str])


SCENES: Mapping[str, Scene] = {
    "models": Scene(("models",), rows=12),
    "welcome": Scene((), rows=22),
    "interactive": Scene(
        ("chat", "--no-thinking"),
        ((">", "Hello\r"), ("How can I help you today?", "/help\r")),
        until="/exit",
        rows=34,
    ),
    # Its end: the whole transcript is in docs/demo.md.
    "demo": Scene(
        (sys.executable, "-m", "examples.demo"),
        rows=34,
        whole=True,
        environ={"DEMO_REAL": "0", "PYTHONPATH": str(ROOT)},
    ),
    "bench": Scene(("bench", "tiny", "--rounds", "1", "--prompt", "128"), rows=24),
}


@contextmanager
def claude_code(home: Path) -> Generator[Scene]:
    """Make the scene of the real Claude Code, whose model is scripted, while a call of ours runs."""
    message = {"message": "Count from 1 to 150.", "thinking": False}

    def script(request: dict[str, Any]) -> Block:
        results = results_of(request)
        return text("It counted.") if results or not request.get("tools") else call("mcp__local-llm__chat", message)

    server = {"command": sys.executable, "args": ["-m", "mcp_local_llm"]}
    known = {"hasCompletedOnboarding": True, "theme": "dark", "mcpServers": {"local-llm": server}}
    trusted = {"projects": {str(home): {"hasTrustDialogAccepted": True}}}
    (home / ".claude.json").write_text(json.dumps({**known, **trusted}))
    with scripted_claude(script) as model:
        environ = {
            "ANTHROPIC_BASE_URL": model.url,
            "ANTHROPIC_AUTH_TOKEN": "none",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "PYTHONPATH": str(ROOT),
        }
        flags = ("--model", "opus", "--permission-mode", "manual", "--allowedTools", "mcp__local-llm__chat")
        asked = (("? for shortcuts", "Let the local model count to 150.\r"),)
        yield Scene((str(CLAUDE), *flags), asked, "tok/s", 24, whole=True, environ=environ)


def draw(name: str, scene: Scene, home: Path) -> str:
    """Run a scene and return its last screen as SVG."""
    screen: Any = pyte.Screen(COLUMNS, scene.rows)
    stream: Any = pyte.ByteStream(screen)
    for piece in _output(scene, home, screen):
        stream.feed(piece)
    lines = [[screen.buffer[row][column] for column in range(COLUMNS)] for row in range(scene.rows)]
    while lines and all(cell.data == " " for cell in lines[-1]):
        lines.pop()
    return _svg(lines, name)


def _output(scene: Scene, home: Path, screen: Any) -> Iterator[bytes]:
    environ = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), "PATH": os.environ["PATH"], "TERM": "xterm"}
    (home / "run").mkdir(exist_ok=True)
    controller, terminal = pty.openpty()
    ioctl(terminal, termios.TIOCSWINSZ, pack("HHHH", scene.rows, COLUMNS, 0, 0))
    command = scene.command if scene.whole else (sys.executable, "-m", "mcp_local_llm", *scene.command)
    process = subprocess.Popen(
        command,
        stdin=terminal, stdout=terminal, stderr=terminal,
        env={**environ, **scene.environ}, cwd=home, start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    waiting, end = list(scene.typed), time.monotonic() + SECONDS
    try:
        while time.monotonic() < end:
            if select.select([controller], [], [], 0.2)[0]:
                try:
                    piece = os.read(controller, 65_536)
                except OSError:  # Linux: the program has closed its side.
                    return
                if not piece:
                    return
                yield piece
                # prompt_toolkit asks where the cursor is, and waits for the answer.
                if b"\x1b[6n" in piece:
                    os.write(controller, f"\x1b[{screen.cursor.y + 1};{screen.cursor.x + 1}R".encode())
            shown = "\n".join(screen.display)
            if waiting and waiting[0][0] in shown:
                os.write(controller, waiting.pop(0)[1].encode())
            elif not waiting and scene.until and scene.until in shown:
                return
    finally:
        process.kill()
        process.wait()
        os.close(controller)


def _svg(lines: Sequence[Sequence[Any]], title: str) -> str:
    width, height = COLUMNS * WIDTH + 24, len(lines) * HEIGHT + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width:g}" height="{height:g}" rx="6" fill="#1e2127"/>',
        '<g font-family="ui-monospace, Menlo, monospace" font-size="14" xml:space="preserve">',
    ]
    for row, cells in enumerate(lines):
        y = 12 + (row + 0.8) * HEIGHT
        for start, run in _runs(cells):
            words = "".join(cell.data for cell in run)
            colour = COLOURS.get(run[0].fg, "#d8d8d8")
            weight = ' font-weight="bold"' if run[0].bold else ""
            length = len(run) * WIDTH
            parts.append(
                f'<text x="{12 + start * WIDTH:g}" y="{y:g}" textLength="{length:g}" fill="{colour}"{weight}>'
                f"{escape(words)}</text>"
            )
    return "\n".join([*parts, "</g>", "</svg>"]) + "\n"


def _runs(cells: Sequence[Any]) -> Iterator[tuple[int, list[Any]]]:
    """Find the runs of characters of one style; blanks at the end are left out."""
    end = len(cells)
    while end and cells[end - 1].data == " ":
        end -= 1
    start = 0
    while start < end:
        stop = start
        while stop < end and (cells[stop].fg, cells[stop].bold) == (cells[start].fg, cells[start].bold):
            stop += 1
        if any(cell.data != " " for cell in cells[start:stop]):
            yield start, list(cells[start:stop])
        start = stop


if __name__ == "__main__":
    for scene_name, one in SCENES.items():
        with tempfile.TemporaryDirectory() as folder:
            (FOLDER / f"screen-{scene_name}.svg").write_text(draw(scene_name, one, Path(folder)), encoding="utf-8")
    # Claude Code is among the programs that `make test-clients` installs.
    with tempfile.TemporaryDirectory() as folder, claude_code(Path(folder)) as one:
        (FOLDER / "screen-claude-code.svg").write_text(draw("claude-code", one, Path(folder)), encoding="utf-8")
