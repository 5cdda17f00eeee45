"""Files that are no files: a FIFO, a folder or a huge file where a small one belongs. Nothing waits for them."""

import os
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from tests.clients import POLL_S, WAIT_S
from tests.model_cache import place_tiny
from tests.wire import Json, Wire, open_wire

PROMPTLY_S = 5.0
"""How soon the process must be gone once stdin has ended, on a machine with other work."""


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**30)


OURS = {
    "registry": ".config/ai-stack/registry.json",
    "choice": ".config/mlx-mcp/active_model",
    "speeds": ".local/state/mcp-local-llm/speeds.json",
    "prefill speeds": ".local/state/mcp-local-llm/prefill_speeds.json",
}
OF_MODELS = ("config.json", "chat_template.jinja", "model.safetensors", "tokenizer.json", "generation_config.json")
SETTINGS = ".config/mcp-local-llm/config.toml"
KINDS = {"fifo": fifo, "folder": folder, "huge": huge}


def put(path: Path, make: Callable[[Path], None]) -> Path:
    """Put what `make` makes in place of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    make(path)
    return path


async def leaves(wire: Wire) -> None:
    await wire.close_stdin()
    assert await wire.ended(within=PROMPTLY_S) == 0
    assert "Traceback" not in wire.errors()


@pytest.mark.fault(
    "State files",
    "each file of a model is a FIFO, a folder or 1 GB long",
    "the list says which model is not to be chosen, and why; others answer, and the process ends",
    tries=2,
)
@pytest.mark.parametrize("kind", KINDS)
async def test_every_tool_answers_and_the_process_ends(
    environ: dict[str, str], home: Path, kind: str, attempt: int
) -> None:
    make = KINDS[kind]
    for name in OURS.values():
        put(home / name, make)
    hub = home / ".cache" / "huggingface" / "hub"
    for number, name in enumerate(OF_MODELS):
        put(place_tiny(hub, f"org/broken-{number}") / name, make)
    place_tiny(hub, "org/lost")
    put(hub / "models--org--lost" / "refs" / "main", make)
    async with open_wire(environ) as wire:
        calls = [
            await wire.call("status"),
            await wire.call("list_models"),
            await wire.call("chat", message="Hello", model="org/broken-1"),
            await wire.call("chat", message="Hello", model="tiny"),
        ]
        status, listed, broken, answer = [await wire.text(call) for call in calls]
        assert f"{home / OURS['choice']} cannot be read" in status
        assert f"{home / OURS['registry']} cannot be read" in listed
        for number, name in enumerate(OF_MODELS):
            # Each of these files is a whole engine's wait; the list says which model is not to be chosen, and why.
            assert f"org/broken-{number}" in listed, name
        assert "chat_template.jinja is " in broken
        assert answer == "Hello! How can I help you today?"
        await leaves(wire)


@pytest.mark.parametrize("kind", KINDS)
async def test_settings_that_are_no_file_are_told_by_every_tool(environ: dict[str, str], home: Path, kind: str) -> None:
    path = put(home / SETTINGS, KINDS[kind])
    async with open_wire(environ) as wire:
        for call in (await wire.call("status"), await wire.call("chat", message="Hello")):
            assert f"{path} cannot be read: " in await wire.text(call)
        await leaves(wire)


SILENT_DISK = """
import os, threading
scan = os.scandir
def silent(path="."):
    if "silent-disk" in str(path):
        os.write(2, b"reading the silent disk" + os.linesep.encode())
        threading.Event().wait()
    return scan(path)
os.scandir = silent
listing = os.listdir
def never(path="."):
    if "silent-disk" in str(path):
        os.write(2, b"reading the silent disk" + os.linesep.encode())
        threading.Event().wait()
    return listing(path)
os.listdir = never
"""


@pytest.mark.parametrize("tool", ["list_models", "chat"])
async def test_stdin_that_ends_ends_the_process_though_a_disk_never_answers(
    environ: dict[str, str], tmp_path: Path, tool: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SILENT_DISK)
    (tmp_path / "silent-disk").mkdir()
    session = environ | {"PYTHONPATH": str(tmp_path), "MCP_LOCAL_LLM_FOLDERS": str(tmp_path / "silent-disk")}
    async with open_wire(session) as wire:
        await wire.call(tool, **({"message": "Hello"} if tool == "chat" else {}))
        # The second call is answered behind the first, so the first one has begun.
        await wire.answer(await wire.call("status"))
        await leaves(wire)
        assert "reading the silent disk" in wire.errors()


SILENT_FILE = """
import os, threading
opened = os.open
def silent(path, *arguments, **named):
    if os.environ["SILENT"] in str(path):
        os.write(2, b"opening the silent file" + os.linesep.encode())
        threading.Event().wait()
    return opened(path, *arguments, **named)
os.open = silent
"""
HELD: dict[str, tuple[str, str, Json]] = {
    "the choice": ("active_model", "status", {}),
    "the choice, while it is written": (".active_model.", "set_model", {"name": "tiny"}),
    "a root": ("/project", "chat", {"message": "x", "files": ["a.txt"]}),
    "a file that is read": ("a.txt", "chat", {"message": "x", "files": ["a.txt"]}),
    "a file that is written": ("a.txt", "draft", {"message": "x", "path": "a.txt"}),
}


@pytest.mark.parametrize(("silent", "tool", "arguments"), HELD.values(), ids=HELD.keys())
async def test_a_file_that_never_opens_holds_up_neither_the_status_nor_the_end(
    environ: dict[str, str], tmp_path: Path, silent: str, tool: str, arguments: Json
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.txt").write_text("x")
    (tmp_path / "sitecustomize.py").write_text(SILENT_FILE)
    folders = {"PYTHONPATH": str(tmp_path), "CLAUDE_PROJECT_DIR": str(project), "SILENT": silent}
    async with open_wire(environ | folders) as wire:
        await wire.call(tool, **arguments)
        with anyio.fail_after(WAIT_S):
            while "opening the silent file" not in wire.errors():
                await anyio.sleep(POLL_S)
        assert " running, " in await wire.text(await wire.call("status"))
        await wire.close_stdin()
        assert await wire.ended(within=2 * PROMPTLY_S) == 0
