"""Whatever keeps MLX from working ends the calls with the cause; nothing waits for ever, and the process goes on."""

import shutil
import sys
from pathlib import Path

import anyio
import pytest

from mcp_local_llm.models.find.roots import BUILTIN_FOLDER
from tests.clients import POLL_S, WAIT_S
from tests.wire import Json, Wire, open_wire

BROKEN = Path(__file__).parent / "broken_mlx"
NO_THREAD = Path(__file__).parent / "no_thread"
GREETING = "Hello! How can I help you today?"


async def refused(wire: Wire) -> str:
    """The error of a chat."""
    result = (await wire.answer(await wire.call("chat", message="Hello")))["result"]
    assert result["isError"]
    return result["content"][0]["text"]


async def test_a_broken_mlx_is_told_with_its_cause_at_each_call(environ: dict[str, str], era: str) -> None:
    async with open_wire(environ | {"PYTHONPATH": str(BROKEN)}, era) as wire:
        for _ in range(2):
            assert "libcuda.so.1: cannot open shared object file" in await refused(wire)
            now = (await wire.answer(await wire.call("status")))["result"]["structuredContent"]
            assert (now["state"], now["calls_running"]) == ("unloaded", 0)
            assert "libcuda.so.1" in now["last_error"]
        await wire.close_stdin()
        assert await wire.ended() == 0


@pytest.mark.slow
async def test_an_mlx_that_is_repaired_while_the_server_runs_is_used_by_the_next_call(
    environ: dict[str, str], tmp_path: Path
) -> None:
    broken = shutil.copytree(BROKEN, tmp_path / "packages")
    environ |= {"PYTHONPATH": str(broken)}
    async with open_wire(environ) as first, open_wire(environ) as second:
        for wire in (first, second):
            assert "libcuda.so.1" in await refused(wire)
        shutil.rmtree(broken / "mlx")
        for wire in (first, second):
            assert await wire.text(await wire.call("chat", message="Hello")) == GREETING


async def test_a_thread_that_cannot_be_started_fails_one_call_and_the_next_starts_it(environ: dict[str, str]) -> None:
    async with open_wire(environ | {"PYTHONPATH": str(NO_THREAD)}) as wire:
        assert "can't start new thread" in await refused(wire)
        now = (await wire.answer(await wire.call("status")))["result"]["structuredContent"]
        assert (now["state"], now["calls_running"]) == ("unloaded", 0)
        assert await wire.text(await wire.call("chat", message="Hello")) == GREETING
        await wire.close_stdin()
        assert await wire.ended() == 0


async def test_a_low_limit_of_open_files_keeps_nothing_from_loading(environ: dict[str, str]) -> None:
    command = ["sh", "-c", f"ulimit -n 64; exec {sys.executable} -m mcp_local_llm"]
    async with open_wire(environ, command=command) as wire:
        assert await wire.text(await wire.call("chat", message="Hello")) == GREETING


async def test_a_working_folder_that_was_removed_keeps_nothing_from_loading(
    environ: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    command = ["sh", "-c", f"cd {folder}; exec {sys.executable} -m mcp_local_llm"]
    async with open_wire(environ, command=command) as wire:
        shutil.rmtree(folder)
        assert await wire.text(await wire.call("chat", message="Hello")) == GREETING


TWINS = (
    "{% set ns = namespace(a=[0], b=[0]) %}{% for i in range(60) %}"
    "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}"
)


async def test_a_template_that_keeps_native_code_busy_fails_its_call_and_leaves_the_process_alive(
    environ: dict[str, str], tmp_path: Path
) -> None:
    folder = shutil.copytree(BUILTIN_FOLDER, tmp_path / "models" / "twins")
    (folder / "chat_template.jinja").write_text(TWINS, encoding="utf-8")
    async with open_wire(environ | {"MCP_LOCAL_LLM_FOLDERS": str(folder.parent)}) as wire:
        result = (await wire.answer(await wire.call("chat", message="Hello", model="twins")))["result"]
        assert result["isError"]
        assert "The chat template of twins refused the conversation" in result["content"][0]["text"]
        assert await wire.text(await wire.call("chat", message="Hello", model="tiny")) == GREETING
        await wire.close_stdin()
        assert await wire.ended() == 0


async def test_a_schema_that_takes_for_ever_to_compare_delays_nobody(environ: dict[str, str]) -> None:
    parts = {f"a{at}": {"allOf": [{"$ref": f"#/$defs/a{at + 1}"}] * 2} for at in range(30)}
    last: Json = {"type": "object", "properties": {}, "additionalProperties": False}
    schema: Json = {"type": "object", "$ref": "#/$defs/a0", "$defs": {**parts, "a30": last}}
    async with open_wire(environ) as wire:
        assert await wire.text(await wire.call("chat", message="Hello", response_schema=schema)) == "{}"
        assert await wire.text(await wire.call("chat", message="Hello")) == GREETING
        await wire.close_stdin()
        assert await wire.ended() == 0


FAILING_PRELOAD = """
import sys, threading
start, failed = threading.Thread.start, []
def started(self):
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_name != "_preload":
        frame = frame.f_back
    if frame is not None and not failed:
        failed.append(self)
        raise RuntimeError("can't start new thread")
    start(self)
threading.Thread.start = started
"""


async def test_a_preload_that_fails_as_nobody_foresaw_ends_nothing_and_the_next_call_is_answered(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAILING_PRELOAD)
    async with open_wire(environ | {"PYTHONPATH": str(tmp_path), "MCP_LOCAL_LLM_PRELOAD": "true"}) as wire:
        await wire.answer(await wire.request("tools/list", {}))
        with anyio.fail_after(WAIT_S):
            while "preload could not be followed" not in wire.errors():
                await anyio.sleep(POLL_S)
        assert await wire.text(await wire.call("chat", message="Hello")) == GREETING
        await wire.close_stdin()
        assert await wire.ended() == 0


DEFECT = """
import os, sys
same = os.path.samestat
def defect(one, other):
    if sys._getframe(1).f_code.co_name == "reachable":
        raise RuntimeError("a defect in what looks after the lease")
    return same(one, other)
os.path.samestat = defect
"""


async def test_a_server_with_a_defect_beside_its_calls_ends_though_its_client_keeps_stdin_open(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(DEFECT)
    async with open_wire(environ | {"PYTHONPATH": str(tmp_path)}) as wire:
        assert await wire.text(await wire.call("chat", message="Hello")) == GREETING
        assert await wire.ended() == 1
        assert "The server failed" in wire.errors()
