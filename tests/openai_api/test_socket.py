"""The Unix socket between sessions: private to its user, and gone when its holder leaves."""

import os
import socket
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from mcp_local_llm.app import App
from mcp_local_llm.errors import ConfigError
from mcp_local_llm.openai_api import SocketDoor, Traffic, bind_unix, build_api, serve_socket, serving
from mcp_local_llm.openai_api.peer import Peer, peer_of
from mcp_local_llm.openai_api.traffic import Client
from tests.clients import WAIT_S
from tests.openai_api.door import Door, endless


@asynccontextmanager
async def over(path: Path) -> AsyncGenerator[httpx.AsyncClient]:
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with httpx.AsyncClient(transport=transport, base_url="http://local-llm", timeout=WAIT_S) as http:
        yield http


@asynccontextmanager
async def left() -> AsyncGenerator[None]:
    """Where nothing is to be done once a door is closed."""
    yield


def test_folder_and_socket_are_for_their_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "run" / "holder.sock"
    with bind_unix(path):
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(ConfigError, match="only this user"):
        bind_unix(folder / "holder.sock")


def test_a_folder_behind_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match="only this user"):
        bind_unix(tmp_path / "run" / "holder.sock")


def test_a_socket_that_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "run" / "holder.sock"
    bind_unix(path).close()
    assert path.exists()
    bind_unix(path).close()


def test_a_path_too_long_for_a_socket_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be made"):
        bind_unix(tmp_path / ("x" * 120) / "holder.sock")


def test_the_kernel_tells_process_and_user_of_the_other_end() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert peer_of(one) == Peer(os.getpid(), os.geteuid())


async def test_the_process_of_another_user_gets_no_answer(door: Door, tmp_path: Path) -> None:
    listener = bind_unix(tmp_path / "run" / "holder.sock")
    api = build_api(door.app.llm, Traffic())
    async with serving(api, listener, uid=os.geteuid() + 1), over(tmp_path / "run" / "holder.sock") as http:
        with pytest.raises(httpx.TransportError):
            await http.get("/health")


async def test_the_status_names_the_process_that_asks(door: Door) -> None:
    async with anyio.create_task_group() as tasks, over(door.socket) as http:
        tasks.start_soon(lambda: http.post("/v1/chat/completions", json=endless()))
        status = await door.until(answers=1)
        assert status["clients"] == [f"pid {os.getpid()}"]
        assert status["pid"] == os.getpid()
        tasks.cancel_scope.cancel()
    await door.until(answers=0)


async def test_a_client_that_names_itself_is_known_by_that_name(door: Door) -> None:
    async with anyio.create_task_group() as tasks, over(door.socket) as http:
        headers = {"X-Local-LLM-Client": "session 7"}
        tasks.start_soon(lambda: http.post("/v1/chat/completions", json=endless(), headers=headers))
        assert (await door.until(answers=1))["clients"] == ["session 7"]
        tasks.cancel_scope.cancel()
    await door.until(answers=0)


async def test_serving_until_cancelled_leaves_no_socket(door: Door, tmp_path: Path) -> None:
    path = tmp_path / "run" / "holder.sock"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_socket, build_api(door.app.llm, Traffic()), path)
        async with over(path) as http:
            with anyio.fail_after(WAIT_S):
                while not path.exists():
                    await anyio.lowlevel.checkpoint()
                assert (await http.get("/health")).status_code == 200
        tasks.cancel_scope.cancel()
    assert not path.exists()


async def test_a_holder_that_is_asked_to_leave_finishes_and_then_leaves(shared_app: App, tmp_path: Path) -> None:
    path, has_left = tmp_path / "run" / "holder.sock", anyio.Event()

    @asynccontextmanager
    async def leave() -> AsyncGenerator[None]:
        async with over(path) as http:
            assert (await http.get("/control/hello")).json()["draining"] is True
        yield
        assert not path.exists()
        has_left.set()

    holder = SocketDoor(path, shared_app.llm, leave)
    await holder.open()
    await holder.open()
    assert holder.traffic is not None
    with anyio.fail_after(WAIT_S):
        async with over(path) as http:
            with holder.traffic.answering(Client("somebody")):
                told = await http.post("/control/drain", json={})
                assert (told.status_code, told.json()) == (202, {"draining": True, "answers": 1})
                refused = await http.post("/v1/chat/completions", json=endless())
                assert refused.status_code == 503
                assert refused.headers["x-should-retry"] == "true"
                assert (await http.get("/control/status")).json()["draining"] is True
                assert not has_left.is_set()
            await has_left.wait()
        await holder.open()
        async with over(path) as http:
            assert (await http.get("/control/status")).json()["draining"] is False
    await holder.close()


async def test_a_door_that_closes_tells_answers_under_way(shared_app: App, tmp_path: Path) -> None:
    path = tmp_path / "run" / "holder.sock"
    holder = SocketDoor(path, shared_app.llm, left)
    await holder.open()
    replies: list[httpx.Response] = []

    async def ask(http: httpx.AsyncClient) -> None:
        replies.append(await http.post("/v1/chat/completions", json=endless()))

    with anyio.fail_after(WAIT_S):
        async with over(path) as http, anyio.create_task_group() as tasks:
            tasks.start_soon(ask, http)
            while not shared_app.llm.status().calls_running:
                await anyio.lowlevel.checkpoint()
            await holder.close()
        await holder.close()
    (reply,) = replies
    assert reply.status_code == 503
    assert reply.json()["error"]["code"] == "backend_unavailable"
    assert not path.exists()


async def test_a_socket_that_cannot_be_made_is_told_when_the_door_opens(shared_app: App, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        await SocketDoor(tmp_path / ("x" * 120) / "holder.sock", shared_app.llm, left).open()
