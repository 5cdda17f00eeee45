"""Servers that we start, with a stand-in for llama-server: started, used, stopped, and never left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import anyio
import anyio.to_thread
import psutil
import pytest

from mcp_local_llm.llm.llm import collect_result
from mcp_local_llm.values.errors import BackendUnavailableError, IncompleteModelError, ModelLoadError
from mcp_local_llm.values.progress import Progress
from tests.clients import WAIT_S
from tests.engines.servers.asking import ask, question
from tests.engines.servers.conftest import Compose
from tests.model_cache import write

Children = Callable[[], list[psutil.Process]]

OWNER = """
import os, sys, anyio
from pathlib import Path
from mcp_local_llm.app import compose
from tests.engines.servers.asking import ask

async def main():
    app = compose(os.environ, Path(os.environ["HOME"]))
    async with app.llm:
        print((await ask(app, "toy")).text, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


async def gone(processes: list[psutil.Process]) -> bool:
    """Whether all of them end within the longest wait."""
    _, alive = await anyio.to_thread.run_sync(lambda: psutil.wait_procs(processes, timeout=WAIT_S))
    return not alive


def server_among(processes: list[psutil.Process]) -> psutil.Process:
    (server,) = [process for process in processes if "--alias" in process.cmdline() and "-I" not in process.cmdline()]
    return server


async def test_a_gguf_model_is_chosen_and_answers(composed: Compose, children: Children) -> None:
    app = await composed()
    switch = await app.llm.set_model("toy", lambda _: None)
    assert (switch.model, switch.loaded) == ("toy", True)
    result = await ask(app, None)
    assert (result.text, result.model, result.warnings) == ("Hello", "toy", ())
    assert (await app.llm.status()).model == "toy"
    assert len(children()) == 2, "the server and what watches it"


async def test_its_key_is_not_on_the_command_line(composed: Compose, children: Children) -> None:
    await ask(await composed(), "toy")
    server = server_among(children())
    assert server.environ()["LLAMA_API_KEY"] not in " ".join(server.cmdline())


async def test_the_context_of_each_call_is_what_the_settings_reserve(composed: Compose, children: Children) -> None:
    app = await composed("reserve_context = 2048\nllama_slots = 3\n")
    await ask(app, "toy")
    line = server_among(children()).cmdline()
    assert line[line.index("--ctx-size") + 1] == str(3 * 2048)
    assert (await app.llm.count(("text",), lambda _: None, model="toy")).window == 2048
    assert line[line.index("--parallel") + 1] == "3"


async def test_no_more_context_is_asked_for_than_the_model_has(composed: Compose, children: Children) -> None:
    await ask(await composed("reserve_context = 100000\n"), "toy")
    line = server_among(children()).cmdline()
    assert line[line.index("--ctx-size") + 1] == "4096"


async def test_a_slow_start_is_waited_for_with_progress(composed: Compose) -> None:
    seen: list[Progress] = []
    result = await ask(await composed(manners="slow"), "toy", seen=seen)
    assert result.text == "Hello"
    assert [step.phase for step in seen[:3]] == ["loading"] * 3


async def test_a_server_that_dies_at_start_says_why(composed: Compose, children: Children) -> None:
    app = await composed(manners="dies")
    with pytest.raises(ModelLoadError) as caught:
        await ask(app, "toy")
    assert "toy could not be loaded. llama-server ended with code 1" in str(caught.value)
    assert "unknown model architecture: 'strange'" in str(caught.value)
    assert "with ***" in str(caught.value), "the key it printed"
    assert (await app.llm.status()).state == "unloaded"
    assert await gone(children())


async def test_a_server_that_dies_in_an_answer_is_told_of_and_started_again(composed: Compose) -> None:
    app = await composed(manners="dies-answering")
    for _ in range(2):
        with pytest.raises(BackendUnavailableError, match=r"which ran toy, ended with code 9(.|\n)*out of memory"):
            await ask(app, "toy")
        assert (await app.llm.status()).state == "unloaded"


async def test_a_switch_stops_the_server(composed: Compose, children: Children) -> None:
    app = await composed()
    await ask(app, "toy")
    started = children()
    result = await ask(app, "plain")
    assert result.model == "plain"
    assert not [process for process in started if process.is_running()]


async def test_a_server_that_nobody_uses_is_stopped(composed: Compose, children: Children) -> None:
    app = await composed("idle_minutes = 0.01\n")
    await ask(app, "toy")
    assert await gone(children())
    assert (await app.llm.status()).state == "unloaded"


async def test_a_server_that_ignores_the_request_to_end_is_killed_with_its_children(
    composed: Compose, children: Children
) -> None:
    app = await composed(manners="stubborn")
    await ask(app, "toy")
    started = children()
    assert len(started) == 3
    await ask(app, "plain")
    assert await gone(started)


async def test_a_load_that_is_given_up_leaves_no_server(composed: Compose, children: Children) -> None:
    app = await composed(manners="deaf")
    looked, started = anyio.Event(), list[psutil.Process]()

    def report(_: Progress) -> None:
        if not started and len(children()) == 2:
            started.extend(children())
            looked.set()

    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: collect_result(app.llm.chat(question(), report, model="toy")))
            await looked.wait()
            group.cancel_scope.cancel()
    assert started
    assert not [process for process in started if process.is_running()]
    assert (await app.llm.status()).state == "unloaded"


@pytest.mark.fault(
    "Signals to other engines",
    "A server of ours closes its port and hangs, as llama-server may when it is asked to end",
    promised="its call says within 20 s how it ended; the next call starts it anew",
    tries=3,
)
async def test_a_server_that_hangs_in_its_end_is_given_up(composed: Compose, children: Children, attempt: int) -> None:
    app = await composed(manners="ends")
    with (
        anyio.fail_after(WAIT_S),
        pytest.raises(BackendUnavailableError, match=r"which ran toy(.|\n)*Send the request"),
    ):
        await ask(app, "toy")
    assert await gone(children())
    assert (await app.llm.status()).state == "unloaded"
    await ask(app, "plain")


@pytest.mark.fault(
    "Signals to other engines",
    "SIGKILL of the process that watches over a server of ours",
    promised="the server ends with it; the next call starts both anew",
    tries=5,
)
async def test_a_killed_watcher_takes_the_server_with_it(composed: Compose, children: Children, attempt: int) -> None:
    app = await composed()
    for _ in range(attempt):
        await ask(app, "toy")
    await ask(app, "toy")
    started = children()
    (watcher,) = [process for process in started if process.ppid() == os.getpid()]
    watcher.kill()
    assert app.engines.servers is not None
    assert await anyio.to_thread.run_sync(app.engines.servers.join, WAIT_S), "its end was not seen"
    assert (await ask(app, "toy")).text == "Hello"
    assert await gone([process for process in started if process is not watcher])


@pytest.mark.fault(
    "Signals to other engines",
    "SIGKILL of the process that has started a server",
    promised="the server ends with it",
    tries=3,
)
async def test_kill_9_of_the_owner_leaves_no_server(
    composed: Compose, environ: dict[str, str], home: Path, tmp_path: Path, attempt: int
) -> None:
    await composed("# only the file\n")
    program = tmp_path / "owner.py"
    write(program, OWNER)
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, str(program)], env={**environ, "PYTHONPATH": str(root)}, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        with anyio.fail_after(WAIT_S):
            assert await anyio.to_thread.run_sync(owner.stdout.readline) == b"Hello\n"
        started = psutil.Process(owner.pid).children(recursive=True)
        assert len(started) == 2
        owner.send_signal(signal.SIGKILL)
    assert await gone(started)


async def test_without_the_program_the_model_cannot_be_chosen_and_the_list_says_how_to_get_it(
    composed: Compose,
) -> None:
    app = await composed(llama_server="/nowhere/llama-server")
    (row,) = [row for row in (await app.llm.list_models()).models if row.name == "toy"]
    assert not row.fits
    assert "llama-server is not installed: get it with `brew install llama.cpp`" in row.fit
    with pytest.raises(IncompleteModelError, match="llama-server is not installed"):
        await app.llm.set_model("toy", lambda _: None)


async def test_closing_an_answer_leaves_the_server_for_the_next(composed: Compose) -> None:
    app = await composed()
    async with aclosing(app.llm.chat(question(), lambda _: None, model="toy")) as chunks:
        await anext(chunks)
    assert (await ask(app, "toy")).text == "Hello"
