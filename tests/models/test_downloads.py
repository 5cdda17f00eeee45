"""From a name to a model on this machine: what is fetched, what is refused before the first byte, and what it means."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from mcp_local_llm.app import App
from mcp_local_llm.llm.llm import collect_result
from mcp_local_llm.models.catalog import Catalog
from mcp_local_llm.models.choice import ChoiceFile
from mcp_local_llm.models.downloads import Downloads
from mcp_local_llm.models.find import ModelRoots, announced_model, find_models
from mcp_local_llm.models.hub import Hub, HubAccess, Repository
from mcp_local_llm.models.roles import Registry
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.values.chat import ChatRequest, Message
from mcp_local_llm.values.errors import (
    DownloadError,
    IncompleteModelError,
    InsufficientMemoryError,
    ModelError,
    UnknownModelError,
)
from mcp_local_llm.values.machine import Memory
from mcp_local_llm.values.model import ModelInfo
from mcp_local_llm.values.progress import Progress
from tests.apps import opened
from tests.clients import WAIT_S
from tests.loopback_hub import LoopbackHub, running
from tests.model_cache import TINY

NAME = "acme/tiny-4bit"
GB = 10**9


def ignore(progress: Progress) -> None:
    """Take progress that no test looks at."""


@pytest.fixture
def server() -> Iterator[LoopbackHub]:
    files = {path.name: path.read_bytes() for path in TINY.iterdir() if path.is_file()}
    with running(LoopbackHub({NAME: files})) as hub:
        yield hub


@pytest.fixture
async def online(environ: dict[str, str], server: LoopbackHub, home: Path) -> AsyncIterator[App]:
    """The composed application, with the loopback hub within reach."""
    async with opened({**environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": server.endpoint}, home) as app:
        yield app


def downloads(server: LoopbackHub, home: Path, *, memory: Memory, roles: dict[str, str | None]) -> Downloads:
    """The part under test with memory and roles of the test's choice."""
    cache = home / "hub"

    def describe(repository: Repository) -> ModelInfo:
        names = [file.name for file in repository.files]
        return announced_model(repository.id, dict(repository.config), names, repository.weight_bytes, {"qwen3"})

    catalog = Catalog(
        find=lambda: find_models(ModelRoots(hub_caches=(cache,))),
        registry=lambda: Registry(roles=roles),
        memory=lambda: memory,
        state=ChoiceFile(home / "active_model"),
        settings=Settings(),
    )
    return Downloads(hub=Hub(HubAccess(cache, server.endpoint), pauses=()), catalog=catalog, describe=describe)


def config(**changes: object) -> bytes:
    return json.dumps({**json.loads((TINY / "config.json").read_bytes()), **changes}).encode()


async def test_a_downloaded_model_is_loaded_chosen_and_answers(online: App) -> None:
    seen: list[Progress] = []
    switch = await online.llm.set_model(NAME, seen.append, download=True)
    assert (switch.model, switch.loaded) == (NAME, True)
    assert any("were downloaded" in note for note in switch.notes)
    phases = list(dict.fromkeys(step.phase for step in seen))
    assert phases[:2] == ["downloading", "loading"]
    assert any(str(step).startswith("downloading ") and "/s, " in str(step) for step in seen)
    result = await collect_result(online.llm.chat(ChatRequest((Message(role="user", content="Hello"),)), ignore))
    assert (result.model, result.text) == (NAME, "Hello! How can I help you today?")


async def test_a_model_that_is_here_is_not_asked_for_again(online: App, server: LoopbackHub) -> None:
    first = await online.llm.download(NAME, ignore)
    asked = len(server.served)
    second = await online.llm.download(NAME.upper(), ignore)
    assert (first.fetched_bytes > 0, second.fetched_bytes, second.path) == (True, 0, first.path)
    assert len(server.served) == asked


async def test_without_download_nothing_reaches_the_network(online: App, server: LoopbackHub) -> None:
    with pytest.raises(UnknownModelError):
        await online.llm.set_model(NAME, ignore)
    await online.llm.list_models()
    assert server.served == []


async def test_a_fragment_is_never_completed_and_known_repositories_are_named(online: App, server: LoopbackHub) -> None:
    with pytest.raises(UnknownModelError) as raised:
        await online.llm.download("coder 32b", ignore)
    assert "mlx-community/Qwen2.5-Coder-32B-Instruct-4bit (about 18.4 GB)" in str(raised.value)
    assert "7B" not in str(raised.value)
    assert server.served == []


async def test_a_role_stands_for_its_repository(server: LoopbackHub, home: Path) -> None:
    fetch = downloads(server, home, memory=Memory(32 * GB, 20 * GB), roles={"coding": NAME})
    obtained = await fetch.download("coding", ignore, resident=None)
    assert obtained.found.model.id == NAME
    assert obtained.fetched_bytes > 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_file": "modeling_acme.py"}, "needs remote code (modeling_acme.py), which is never run"),
        (
            {"model_type": "acme", "auto_map": {"AutoModelForCausalLM": "modeling_acme.AcmeForCausalLM"}},
            "needs remote code (modeling_acme.py), which is never run",
        ),
        ({"model_type": "acme"}, "mlx-lm has no architecture acme"),
        (
            {"quantization": None, "quantization_config": {"quant_method": "bitsandbytes"}},
            "quantized with bitsandbytes",
        ),
    ],
)
async def test_a_model_that_would_not_run_is_refused_by_name_before_its_weights(
    server: LoopbackHub, home: Path, changes: dict[str, object], says: str
) -> None:
    server.repositories[NAME]["config.json"] = config(**changes)
    fetch = downloads(server, home, memory=Memory(32 * GB, 20 * GB), roles={})
    with pytest.raises(IncompleteModelError) as raised:
        await fetch.download(NAME, ignore, resident=None)
    assert str(raised.value).startswith(f"{NAME} is not downloaded: it ") or "mlx-lm" in str(raised.value)
    assert says in str(raised.value)
    assert server.asked_for("model.safetensors") == []
    assert not (home / "hub").exists()


async def test_a_model_that_does_not_fit_is_refused_before_the_first_byte(server: LoopbackHub, home: Path) -> None:
    fetch = downloads(server, home, memory=Memory(1_000_000, 1_000_000), roles={})
    with pytest.raises(InsufficientMemoryError, match=f"{NAME} needs"):
        await fetch.download(NAME, ignore, resident=None)
    assert not (home / "hub").exists()


async def test_a_pull_counts_on_the_whole_machine_and_a_switch_on_what_is_free(server: LoopbackHub, home: Path) -> None:
    fetch = downloads(server, home, memory=Memory(32 * GB, available=1_000_000), roles={})
    with pytest.raises(InsufficientMemoryError):
        await fetch.download(NAME, ignore, resident=None, to_load=True)
    obtained = await fetch.download(NAME, ignore, resident=None)
    assert obtained.found.model.id == NAME


async def test_a_partial_model_is_never_chosen_and_its_whole_name_completes_it(
    online: App, server: LoopbackHub
) -> None:
    weights = server.repositories[NAME]["model.safetensors"]
    server.content["model.safetensors"] = weights[:-1] + bytes([weights[-1] ^ 1])
    with pytest.raises(DownloadError, match="damaged"):
        await online.llm.download(NAME, ignore)
    for download in (False, True):
        with pytest.raises(ModelError):
            await online.llm.set_model("4bit", ignore, download=download)
    server.content.clear()
    assert (await online.llm.download(NAME, ignore)).model == NAME


async def test_an_interrupted_download_is_told_with_the_way_to_complete_it(online: App, server: LoopbackHub) -> None:
    server.hold_after["model.safetensors"] = 1_000_000
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(online.llm.download, NAME, ignore)
        await anyio.to_thread.run_sync(server.held.wait, WAIT_S)
        tasks.cancel_scope.cancel()
    server.go.set()
    with pytest.raises(IncompleteModelError, match=r"partial download: .* Its full id with download=true completes"):
        await online.llm.set_model("4bit", ignore)
    switch = await online.llm.set_model(NAME, ignore, download=True)
    assert switch.model == NAME


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress("downloading", 1_200_000_000, 4_300_000_000, 38_200_000.0), "1.2/4.3 GB, 38.2 MB/s, 81 s left"),
        (Progress("downloading", 0, 18_400_000_000), "0.0/18.4 GB"),
        (Progress("downloading", 0, 18_400_000_000, 20_000_000.0), "0.0/18.4 GB, 20.0 MB/s, 15 min left"),
        (Progress("downloading", 0, 300_000_000_000, 9_000_000.0), "0.0/300.0 GB, 9.0 MB/s, 9 h left"),
        (Progress("downloading", 512, 512, 100.0), "512/512 B, 100 B/s, 0 s left"),
    ],
)
def test_a_download_is_told_in_bytes_rate_and_time_left(progress: Progress, words: str) -> None:
    assert str(progress) == f"downloading {words}"
