"""A real mlx_lm.server with the built-in model, asked through the composed application."""

import re
import shutil
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import IO

import anyio
import pytest

from mcp_local_llm.app import App
from mcp_local_llm.engines.http import EndpointLoader, EndpointModels, look_at_ports
from mcp_local_llm.llm.llm import collect_result
from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams, ToolSpec
from mcp_local_llm.values.endpoint import loopback_port
from mcp_local_llm.values.errors import BackendProtocolError, UnknownModelError
from mcp_local_llm.values.model import endpoint_model
from mcp_local_llm.values.progress import Progress
from tests.apps import opened
from tests.clients import WAIT_S, private_environ
from tests.engines.http.asking import answer_of, endpoint
from tests.model_cache import TINY

pytestmark = pytest.mark.slow

WEATHER = ToolSpec(
    name="get_weather",
    description="Get the current weather for a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


def _wait_for(log: IO[str], words: str) -> None:
    """Read a server's log up to a line with these words."""
    seen: list[str] = []
    for line in log:
        seen.append(line)
        if re.search(words, line):
            return
    raise AssertionError("the server ended: " + "".join(seen))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def started(home: Path, port: int) -> Generator["subprocess.Popen[str]"]:
    """Start a server for the built-in model."""
    model = Path(shutil.copytree(TINY, home / "tiny", dirs_exist_ok=True))
    hub = home / "hub"
    hub.mkdir(exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "mlx_lm",
        "server",
        "--model",
        str(model),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    environ = {**private_environ(home), "HF_HUB_CACHE": str(hub), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as server:
        try:
            yield server
        finally:
            server.kill()


def listens(server: "subprocess.Popen[str]") -> None:
    """Wait until a server listens; what it logs later is read and dropped, so that its pipe never fills."""
    assert server.stderr is not None
    _wait_for(server.stderr, "Starting httpd")
    threading.Thread(target=deque, args=(server.stderr, 0), daemon=True).start()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that has loaded the built-in model."""
    port = free_port()
    with started(tmp_path_factory.mktemp("mlx_lm"), port) as server:
        listens(server)
        yield f"http://127.0.0.1:{port}/v1"


@pytest.fixture
async def app(served: str, environ: dict[str, str], home: Path) -> AsyncIterator[App]:
    """The application with the server as an endpoint; its own resident model is the same built-in one."""
    config = home / ".config" / "mcp-local-llm" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'[[endpoints]]\nname = "box"\nurl = "{served}"\nflavor = "mlx_lm.server"\nmodels = ["default_model"]\n'
    )
    async with opened(environ, home) as composed:
        yield composed


def request(text: str, *, tools: tuple[ToolSpec, ...] = (), thinking: bool = False, limit: int = 300) -> ChatRequest:
    sampling = SamplingParams(max_tokens=limit, temperature=0.0)
    return ChatRequest((Message(role="user", content=text),), tools=tools, sampling=sampling, thinking=thinking)


QUESTIONS: dict[str, ChatRequest] = {
    "an answer": request("Hello"),
    "thinking": request("How many legs do two cats and a bird have?", thinking=True),
    "a tool call": request("What is the weather in Paris?", tools=(WEATHER,)),
    "cut by its length": request("Count from 1 to 150.", limit=20),
    "cut while thinking": request("How many legs do two cats and a bird have?", thinking=True, limit=4),
}


async def test_the_server_gives_the_answers_of_the_model_in_this_process(app: App) -> None:
    with anyio.fail_after(WAIT_S):
        for name, asked in QUESTIONS.items():
            here = await collect_result(app.llm.chat(asked, lambda _: None, model="tiny"))
            there = await collect_result(app.llm.chat(asked, lambda _: None, model="box/default_model"))
            assert there.text == here.text, name
            assert there.reasoning.strip() == here.reasoning.strip(), name
            assert [(call.name, call.arguments) for call in there.tool_calls] == [
                (call.name, call.arguments) for call in here.tool_calls
            ], name
            assert there.finish_reason == here.finish_reason, name
            assert there.thinking_closed == here.thinking_closed, name
            assert there.usage.prompt_tokens == here.usage.prompt_tokens, name
            assert there.model == "box/default_model"
            assert there.warnings == here.warnings, name


async def test_every_scripted_question_that_the_model_knows_passes_over_http(app: App) -> None:
    with anyio.fail_after(WAIT_S):
        await app.llm.set_model("box/default_model", lambda _: None)
        for name in ("hello", "math", "tools", "thinking"):
            outcome = await app.llm.quick_test(name, lambda _: None)
            assert outcome.passed, outcome
            assert outcome.model == "box/default_model"


async def test_the_prefill_is_reported(app: App) -> None:
    seen: list[Progress] = []
    with anyio.fail_after(WAIT_S):
        await collect_result(app.llm.chat(request("Hello " * 300), seen.append, model="box/default_model"))
    assert any(step.phase == "prefill" and step.total and step.total > 300 for step in seen)


async def test_a_cancelled_call_leaves_the_server_ready_for_the_next(served: str) -> None:
    with anyio.fail_after(WAIT_S):
        server = endpoint(served, "mlx_lm.server")
        engine = await EndpointLoader({}).load(endpoint_model(server, "default_model"), lambda _: None)
        long = ChatRequest(request("Count from 1 to 150.", limit=2000).messages, stream=True)
        async with aclosing(engine.stream(long)) as chunks:
            async for chunk in chunks:
                if chunk.text or chunk.reasoning:
                    break
        assert (await answer_of(engine, request("Hello"))).text == "Hello! How can I help you today?"


async def test_its_models_are_listed_from_the_server(served: str) -> None:
    with anyio.fail_after(WAIT_S):
        found = await EndpointModels([endpoint(served)], {})()
    assert [model.id.rpartition("/")[2] for model in found.models] == ["tiny"]
    assert found.warnings == ()


async def test_a_model_that_it_does_not_have_is_an_unknown_model(served: str) -> None:
    engine = await EndpointLoader({}).load(endpoint_model(endpoint(served), "no/such-model"), lambda _: None)
    with pytest.raises(UnknownModelError, match="does not have box/no/such-model"):
        await answer_of(engine, request("Hello"))


async def test_an_address_without_v1_is_said(served: str) -> None:
    wrong = endpoint(served.removesuffix("/v1") + "/v2")
    engine = await EndpointLoader({}).load(endpoint_model(wrong, "default_model"), lambda _: None)
    with pytest.raises(BackendProtocolError, match="most end in /v1"):
        await answer_of(engine, request("Hello"))


async def test_the_check_up_recognises_it(served: str) -> None:
    port = loopback_port(served)
    assert port is not None
    assert [(seen.flavor, seen.locked) for seen in await look_at_ports([port])] == [("mlx_lm.server", False)]
