"""A home with settings and models, the application over it, and servers that certainly end."""

import contextlib
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from mcp_local_llm.app import App
from tests.apps import many
from tests.model_cache import TINY, gguf, write

STANDIN = Path(__file__).with_name("standin_server.py")
BUILT = Path(__file__).parents[3] / ".cache" / "engines" / "llama-server"

Compose = Callable[..., Awaitable[App]]


@pytest.fixture
def standin(tmp_path: Path) -> Path:
    """A program that takes llama-server's flags; see `standin_server.py`."""
    program = tmp_path / "bin" / "llama-server"
    write(program, f"#!{sys.executable}\n{STANDIN.read_text(encoding='utf-8')}")
    program.chmod(0o700)
    return program


@pytest.fixture
def llama_server() -> str:
    return found_llama_server()


def found_llama_server() -> str:
    """A real one: what `make test-engines` has built, or what is on the PATH."""
    server = str(BUILT) if BUILT.is_file() else shutil.which("llama-server")
    if server is None:
        pytest.skip("there is no llama-server here; `make test-engines` builds one")
    return server


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with `toy`, a GGUF file that only a stand-in can load, and `plain`, a copy of the built-in model."""
    folder = tmp_path / "models"
    write(
        folder / "toy.gguf", gguf({"general.architecture": "llama", "llama.context_length": 4096}, {"a": (4, 4)}, 2000)
    )
    shutil.copytree(TINY, folder / "plain")
    return folder


@pytest.fixture
async def composed(environ: dict[str, str], home: Path, models: Path, standin: Path) -> AsyncIterator[Compose]:
    """Composes the application over settings; every server and thread of it ends with the test."""

    async def build(lines: str = "", *, llama_server: Path | str = standin, manners: str = "") -> App:
        basis = f'folders = ["{models}"]\nllama_server = "{llama_server}"\n'
        write(home / ".config" / "mcp-local-llm" / "config.toml", basis + lines)
        # llama.cpp's threads wait for each other by spinning, which costs a busy machine more than they save.
        return await apps.open({**environ, "STANDIN": manners, "LLAMA_ARG_THREADS": "1"}, home)

    async with many() as apps:
        yield build


@pytest.fixture
def free_ports() -> int:
    """The first of two neighbouring ports that nobody uses."""
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port
    raise AssertionError("no two neighbouring ports are free")


@pytest.fixture
def children() -> Callable[[], list[psutil.Process]]:
    """Lists the processes that this one has started, theirs included, since the test began."""
    before = set(psutil.Process().children(recursive=True))
    return lambda: [child for child in psutil.Process().children(recursive=True) if child not in before]
