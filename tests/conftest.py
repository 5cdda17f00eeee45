"""What every test shares: a private home, the built-in model, and bounded waiting. Nothing here reads the real home."""

import gc
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from mcp_local_llm.app import App
from mcp_local_llm.models.find import default_roots, find_models
from mcp_local_llm.setup.log import close_log
from mcp_local_llm.values.model import ModelInfo
from tests.apps import opened
from tests.clients import private_environ
from tests.reliability.proofs import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_generate_tests,
    pytest_runtest_setup,
    tries,
)
from tests.sweep import PROFILE

__all__ = [
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_runtest_setup",
    "tries",
]

# `make test-all` chooses it; see `tests.sweep`.
settings.register_profile(PROFILE)


def pytest_sessionstart() -> None:
    """Let the garbage collector rest while tests are collected: what is made then is all kept."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Let it work again, and look no more at all the tests, which it did whenever a model was unloaded."""
    gc.enable()
    gc.freeze()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True, scope="session")
def _signals_for_children() -> None:
    """Let the processes that tests start hear what `nohup` and a shell's background have ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            # This process goes on ignoring it; a handler, unlike that, is not inherited.
            signal.signal(number, _ignore)


def _ignore(number: int, frame: object) -> None:
    """Do nothing with a signal."""


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """What a composed application logs, and where, ends with the test."""
    yield
    close_log()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    """The environment of a process whose home is private and whose hub is out of reach."""
    return private_environ(home)


@pytest.fixture
def tiny(home: Path) -> ModelInfo:
    """The built-in model, as discovery finds it."""
    (model,) = find_models(default_roots({}, home))
    return model


@pytest.fixture
async def app(environ: dict[str, str], home: Path) -> AsyncIterator[App]:
    """The composed application in this process; its MLX thread ends with the test."""
    async with opened(environ, home) as composed:
        yield composed


@pytest.fixture(params=["auto", pytest.param("legacy", marks=pytest.mark.sweep)])
def era(request: pytest.FixtureRequest) -> str:
    """Both protocol eras: 2026-07-28 by discovery, and the older handshake."""
    return str(request.param)
