"""What an attached session makes of a holder's words: scripted holders on a real socket."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_local_llm.chat import ChatRequest, Message
from mcp_local_llm.engine import Engine, Progress
from mcp_local_llm.engines.http import SocketHolder
from mcp_local_llm.errors import BackendProtocolError, BackendUnavailableError, HolderGoneError, LocalLLMError
from mcp_local_llm.model import ModelInfo
from mcp_local_llm.openai_api import bind_unix, serving
from mcp_local_llm.wire.envelope import error_body
from tests.clients import WAIT_S

MODEL = ModelInfo("org/model", Path("/nowhere"), "folder")
HELLO = ChatRequest((Message(role="user", content="Hello"),))
LOADED = Response('data: {"result": {}}\n\n', media_type="text/event-stream")

Answer = Callable[[Request], Awaitable[Response]]


def says(response: Response) -> Answer:
    async def answer(request: Request) -> Response:
        return response

    return answer


def fails(error: LocalLLMError) -> Answer:
    return says(JSONResponse(error_body(error), error.status))


@asynccontextmanager
async def holder(tmp_path: Path, **answers: Answer) -> AsyncGenerator[SocketHolder]:
    """A holder of version 1.0.0 that answers `hello`, `drain`, `load` and `chat` as told, seen by a 1.0.0."""
    paths = {"hello": "/control/hello", "drain": "/control/drain", "load": "/control/load"}
    routes = [
        Route(paths.get(name, "/v1/chat/completions"), answer, methods=["GET" if name == "hello" else "POST"])
        for name, answer in answers.items()
    ]
    socket = tmp_path / "run" / "holder.sock"
    with anyio.fail_after(WAIT_S):
        async with serving(Starlette(routes=routes), bind_unix(socket)):
            yield SocketHolder(socket, "1.0.0", alive=lambda: True)


def hello(version: str = "1.0.0", protocol: int = 1, *, draining: bool = False) -> Answer:
    return says(JSONResponse({"version": version, "protocol": protocol, "draining": draining}))


def ignore(progress: Progress) -> None:
    pass


async def ask(engine: Engine) -> None:
    async for _ in engine.stream(HELLO):
        pass


@pytest.mark.parametrize(
    ("answer", "leaving"),
    [
        (hello(), False),
        (hello("1.0.1"), False),
        (hello("0.9.9"), True),
        (hello(protocol=0), True),
        (hello(draining=True), True),
    ],
)
async def test_an_older_holder_leaves_and_an_equal_or_newer_one_stays(
    tmp_path: Path, answer: Answer, leaving: bool
) -> None:
    async with holder(tmp_path, hello=answer, drain=says(JSONResponse({}, 202))) as there:
        assert await there.leaving() is leaving


async def test_a_holder_that_is_too_new_is_not_asked_to_leave(tmp_path: Path) -> None:
    async with holder(tmp_path, hello=hello("2.0.0", protocol=2)) as there:
        with pytest.raises(BackendProtocolError, match=r"2\.0\.0.*Start this session anew"):
            await there.leaving()


async def test_nobody_on_the_socket_means_that_nothing_was_begun(tmp_path: Path) -> None:
    there = SocketHolder(tmp_path / "holder.sock", "1.0.0", alive=lambda: False)
    for asked in (there.leaving(), there.load(MODEL, ignore)):
        with pytest.raises(HolderGoneError):
            await asked


async def test_a_holder_that_is_leaving_has_not_begun(tmp_path: Path) -> None:
    gone = fails(HolderGoneError("This server is finishing its last answers."))
    async with holder(tmp_path, load=says(LOADED), chat=gone) as there:
        engine = await there.load(MODEL, ignore)
        assert not engine.lost
        with pytest.raises(HolderGoneError):
            await ask(engine)
        assert engine.lost


async def test_what_the_holder_says_of_a_server_behind_it_is_passed_on(tmp_path: Path) -> None:
    died = fails(BackendUnavailableError("llama-server ended while it was loading; its last line: no memory"))
    async with holder(tmp_path, load=says(LOADED), chat=died) as there:
        with pytest.raises(BackendUnavailableError, match=r"llama-server ended.*no memory") as error:
            await ask(await there.load(MODEL, ignore))
        assert not isinstance(error.value, HolderGoneError)


async def test_an_answer_that_breaks_off_is_told_and_is_not_one_that_was_not_begun(tmp_path: Path) -> None:
    cut = says(Response(": local-llm prefill 1/2\n\n", media_type="text/event-stream"))
    async with holder(tmp_path, load=cut, chat=cut) as there:
        with pytest.raises(BackendUnavailableError, match="ended before this answer was finished") as error:
            await there.load(MODEL, ignore)
        assert not isinstance(error.value, HolderGoneError)
