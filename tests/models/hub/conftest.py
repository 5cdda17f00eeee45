"""A hub on the loopback interface with one small repository, made from the built-in model's files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_local_llm.models.hub import Hub, HubAccess
from mcp_local_llm.values.progress import Progress
from tests.loopback_hub import LoopbackHub, running
from tests.model_cache import TINY

NAME = "acme/tiny-4bit"


@pytest.fixture
def server() -> Iterator[LoopbackHub]:
    files = {path.name: path.read_bytes() for path in TINY.iterdir() if path.is_file()}
    extra = {"README.md": b"# tiny\n", "modeling_acme.py": b"raise SystemExit\n", "onnx/model.onnx": b"x" * 10}
    with running(LoopbackHub({NAME: {**files, **extra}})) as hub:
        yield hub


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hub"


@pytest.fixture
def access(server: LoopbackHub, cache: Path) -> HubAccess:
    return HubAccess(cache, server.endpoint)


@pytest.fixture
def hub(access: HubAccess) -> Hub:
    """A hub client that gives up at the first broken connection."""
    return Hub(access, pauses=())


@pytest.fixture
def seen() -> list[Progress]:
    return []
