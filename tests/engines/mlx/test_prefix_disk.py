"""Long prompts outlive an unload, a switch and the process, and it makes no difference to the answer."""

import logging
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from mcp import Client
from mlx_lm.models.cache import KVCache
from mlx_lm.models.deepseek_v41 import LayerCache

from mcp_local_llm.engines.mlx import EngineLimits, MlxLoader, PrefixDiskLimits
from mcp_local_llm.engines.mlx.load.weights import load
from mcp_local_llm.engines.mlx.prefix.disk import folder_name, open_prefix_disk
from mcp_local_llm.setup.places import prefix_folder
from mcp_local_llm.values.chat import ChatResult, Message, SamplingParams
from mcp_local_llm.values.model import ModelInfo
from tests.clients import POLL_S, WAIT_S, stdio_client
from tests.engines.mlx.asking import ask, engine_of, ignore, prompt
from tests.engines.mlx.random_models import HYBRID, PLAIN, SLIDING, random_model

MIB = 2**20
TEXT = "The quick brown fox jumps over the lazy dog and runs into the forest. " * 28
FIRST, SECOND, OTHER = (
    prompt(f'<file path="notes.txt">\n{TEXT}\n</file>\n{question}') for question in ("Why?", "Who?", "And where to?")
)
SHORT = SamplingParams(max_tokens=16, temperature=0.0)
A_YEAR = 3e7


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "prefixes"


@pytest.fixture
def model(tiny: ModelInfo, tmp_path: Path) -> ModelInfo:
    return random_model(tiny, tmp_path / "plain", PLAIN)


@pytest.fixture
def limits(folder: Path) -> EngineLimits:
    """Nothing is written in quiet moments, only at an unload."""
    return EngineLimits(prefix_disk=PrefixDiskLimits(folder, 64 * MIB, quiet_s=A_YEAR))


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*"))


def said(result: ChatResult) -> str:
    return result.reasoning + result.text


async def cold(model: ModelInfo, limits: EngineLimits, question: tuple[Message, ...]) -> ChatResult:
    """The answer of an engine that knows nothing."""
    async with engine_of(model, replace(limits, prefix_disk=None)) as engine:
        return await ask(engine, question, SHORT)


async def written(model: ModelInfo, limits: EngineLimits) -> ChatResult:
    """The answer to the first question; its prompt is on the disk afterwards."""
    async with engine_of(model, limits) as engine:
        result = await ask(engine, FIRST, SHORT)
        await engine.unload()
    assert limits.prefix_disk is not None
    assert files_of(limits.prefix_disk.folder)
    return result


async def appears(folder: Path) -> Path:
    """The first whole file in the folder, as soon as it is there."""
    with anyio.fail_after(WAIT_S):
        while not (found := [path for path in files_of(folder) if path.suffix == ".safetensors"]):
            await anyio.sleep(POLL_S)
    return found[0]


async def state(client: Client) -> str:
    """How the server's model stands."""
    result = await client.call_tool("status", {})
    assert result.structured_content is not None
    return str(result.structured_content["state"])


@pytest.mark.parametrize(
    ("config", "bits"),
    [
        (PLAIN, None),
        pytest.param(PLAIN, 8, marks=pytest.mark.sweep),
        (HYBRID, None),
        pytest.param(SLIDING, None, marks=pytest.mark.sweep),
    ],
    ids=["plain", "8 bits", "hybrid", "sliding"],
)
async def test_a_long_text_is_known_after_an_unload_and_in_another_engine_and_the_answer_is_the_same(
    tiny: ModelInfo, tmp_path: Path, limits: EngineLimits, config: dict[str, Any], bits: Any
) -> None:
    model = random_model(tiny, tmp_path / "random", config)
    limits = replace(limits, kv_bits=bits)
    reference = await cold(model, limits, SECOND)
    backend = MlxLoader(limits)
    with anyio.fail_after(WAIT_S):
        engine = await backend.load(model, ignore)
        one = await ask(engine, FIRST, SHORT)
        await engine.unload()
        engine = await backend.load(model, ignore)
        two = await ask(engine, SECOND, SHORT)
    backend.close()
    assert backend.join(WAIT_S)
    async with engine_of(model, limits) as engine:
        three = await ask(engine, OTHER, SHORT)
        # What came from the disk serves the next one from memory, also where caches cannot be cut back.
        for path in files_of(tmp_path / "prefixes"):
            path.unlink()
        again = await ask(engine, SECOND, SHORT)
    known = [result.usage.cached_tokens for result in (one, two, three, again)]
    assert known[0] == 0
    assert all(0.9 * one.usage.prompt_tokens < count < one.usage.prompt_tokens for count in known[1:])
    assert said(two) == said(again) == said(reference)


async def test_a_quiet_moment_is_enough(model: ModelInfo, limits: EngineLimits, folder: Path) -> None:
    quick = replace(limits, prefix_disk=PrefixDiskLimits(folder, 64 * MIB, quiet_s=0))
    async with engine_of(model, quick) as engine:
        await ask(engine, FIRST, SHORT)
        path = await appears(folder)
        # And nothing new is written for what the disk knows already.
        await ask(engine, FIRST, SHORT)
        await engine.unload()
    assert files_of(folder) == [path]


async def test_what_has_no_place_in_memory_goes_to_the_disk_first(
    model: ModelInfo, limits: EngineLimits, folder: Path
) -> None:
    async with engine_of(model, replace(limits, prefix_cache_bytes=0)) as engine:
        await ask(engine, FIRST, SHORT)
        await appears(folder)
        second = await ask(engine, SECOND, SHORT)
    assert second.usage.cached_tokens > 1024


async def test_the_end_of_the_process_waits_for_no_file(model: ModelInfo, limits: EngineLimits, folder: Path) -> None:
    async with engine_of(model, limits) as engine:
        await ask(engine, FIRST, SHORT)
    assert not folder.exists()


async def test_a_short_prompt_is_not_written(model: ModelInfo, limits: EngineLimits, folder: Path) -> None:
    async with engine_of(model, limits) as engine:
        await ask(engine, "Hello", SHORT)
        await engine.unload()
    assert not folder.exists()


async def test_after_an_error_inside_mlx_nothing_is_written(
    model: ModelInfo,
    limits: EngineLimits,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    async with engine_of(model, limits) as engine:
        await ask(engine, FIRST, SHORT)
        with monkeypatch.context() as patch:

            def fail(self: Any, keys: Any, values: Any) -> Any:
                raise RuntimeError("Command buffer execution failed")

            patch.setattr(KVCache, "update_and_fetch", fail)
            with pytest.raises(Exception, match="Command buffer"):
                await ask(engine, SECOND, SHORT)
        await engine.unload()
    assert not folder.exists()


def touch(path: Path) -> None:
    os.utime(path)


def write_again(path: Path) -> None:
    status = path.stat()
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def add_a_comment(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "{# more #}", encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "change"),
    [("model.safetensors", touch), ("model.safetensors", write_again), ("chat_template.jinja", add_a_comment)],
)
def test_another_template_or_other_weights_have_another_folder(
    tiny: ModelInfo, tmp_path: Path, name: str, change: Callable[[Path], None]
) -> None:
    info = replace(tiny, path=tmp_path / "copy")
    shutil.copytree(tiny.path, info.path)
    model = load(info, lambda done, total: None, lambda: False, None)
    before = folder_name(model)
    assert before.startswith("tiny-")
    assert folder_name(model) == before
    (info.path / ".DS_Store").touch()
    assert folder_name(model) == before
    change(info.path / name)
    assert folder_name(model) != before


async def test_a_changed_template_knows_nothing(model: ModelInfo, limits: EngineLimits) -> None:
    await written(model, limits)
    add_a_comment(model.path / "chat_template.jinja")
    async with engine_of(model, limits) as engine:
        assert (await ask(engine, SECOND, SHORT)).usage.cached_tokens == 0


async def test_a_damaged_file_costs_the_computation_and_nothing_else(
    model: ModelInfo, limits: EngineLimits, folder: Path
) -> None:
    first = await written(model, limits)
    (path,) = files_of(folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    async with engine_of(model, limits) as engine:
        result = await ask(engine, FIRST, SHORT)
    assert result.usage.cached_tokens == 0
    assert said(result) == said(first)
    assert files_of(folder) == []


def test_caches_that_mlx_lm_cannot_bring_back_stay_in_memory_and_the_log_says_why(
    tiny: ModelInfo, limits: EngineLimits, caplog: pytest.LogCaptureFixture
) -> None:
    class Network:
        def make_cache(self) -> list[Any]:
            return [KVCache(), cast(Any, LayerCache)(8)]

    model = load(tiny, lambda done, total: None, lambda: False, None)
    assert open_prefix_disk(model, limits.prefix_disk) is not None
    assert open_prefix_disk(replace(model, network=Network()), limits.prefix_disk) is None
    (message,) = caplog.messages
    assert "LayerCache" in message
    assert "tiny" in message


@pytest.mark.slow
async def test_the_setting_lets_a_second_server_begin_where_the_first_one_ended(
    environ: dict[str, str], home: Path
) -> None:
    environ |= {"MCP_LOCAL_LLM_IDLE_MINUTES": "0.0005"}
    folder = prefix_folder(environ, home, platform.system())
    cached: list[int] = []
    for setting in ("0", "64", "64"):
        async with stdio_client({**environ, "MCP_LOCAL_LLM_PREFIX_DISK_MB": setting}) as client:
            arguments = {"message": f"{TEXT} Question {len(cached)}?", "max_tokens": 8}
            result = await client.call_tool("chat", arguments)
            assert result.meta is not None
            cached.append(result.meta["local-llm/result"]["usage"]["cached_tokens"])
            if setting == "0":
                with anyio.fail_after(WAIT_S):
                    while (await state(client)) != "unloaded":
                        await anyio.sleep(POLL_S)
            else:
                await appears(folder)
        assert folder.exists() == (setting != "0")
    assert cached[:2] == [0, 0]
    assert cached[2] > 1024
