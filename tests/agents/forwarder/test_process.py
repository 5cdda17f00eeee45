"""The forwarder as a process: its order, what it says, its end, and that it leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import h11
import psutil
import pytest
from pydantic import ValidationError

from mcp_local_llm.agents.forwarder.launched import forwarder, new_key
from mcp_local_llm.agents.forwarder.order import ForwarderOrder
from mcp_local_llm.values.errors import ConfigError
from tests.agents.forwarder.rig import DOOR_KEY, LOGIN, OTHER, OURS, PATH, calling, hello, message, posted, server
from tests.clients import WAIT_S
from tests.sweep import sampled

COMMAND = [sys.executable, "-m", "mcp_local_llm.agents.forwarder"]
KEY = "a-key-of-a-test-run"
ORDER = {"key": KEY, "models": [OURS], "door": "http://127.0.0.1:9", "door_key": DOOR_KEY}


def started(environ: dict[str, str], **changes: object) -> subprocess.Popen[bytes]:
    """A forwarder whose launcher is the test."""
    process = subprocess.Popen(
        COMMAND, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({**ORDER, **changes}).encode() + b"\n")
    process.stdin.flush()
    return process


def told(process: subprocess.Popen[bytes]) -> dict[str, str]:
    assert process.stdout is not None
    line: dict[str, str] = json.loads(process.stdout.readline())
    return line


def test_at_its_start_it_says_what_goes_where(environ: dict[str, str]) -> None:
    with started({**environ, "HTTPS_PROXY": "http://user:secret@proxy.test:3128"}) as process:
        url = told(process)["url"]
        _, stderr = process.communicate(timeout=WAIT_S)
    base, _, key = url.rpartition("/")
    assert key == KEY
    assert stderr.decode().splitlines() == [
        "mcp-local-llm: requests for local-llm stay on this machine (http://127.0.0.1:9), without your login.",
        "mcp-local-llm: all others go to https://api.anthropic.com through the proxy http://proxy.test:3128 unchanged, "
        f"by way of {base}, which keeps nothing.",
    ]
    assert process.returncode == 0


def test_it_listens_on_the_loopback_alone(environ: dict[str, str]) -> None:
    with started(environ) as process:
        told(process)
        listening = [one.laddr.ip for one in psutil.Process(process.pid).net_connections() if one.status == "LISTEN"]
        assert process.stdin is not None
        process.stdin.close()
    assert listening == ["127.0.0.1"]


def test_its_command_line_and_environment_hold_no_key(environ: dict[str, str]) -> None:
    with started(environ) as process:
        told(process)
        seen = psutil.Process(process.pid)
        shown = " ".join([*seen.cmdline(), *seen.environ().values()])
        assert process.stdin is not None
        process.stdin.close()
    assert KEY not in shown
    assert DOOR_KEY not in shown


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"key": "short"}, "key"),
        ({"models": []}, "models"),
        ({"upstream": "api.anthropic.com"}, "upstream"),
        ({"upstream": "ftp://api.anthropic.com"}, "upstream"),
        ({"upstream": "https://user:secret@api.test"}, "upstream"),
        ({"upstream": "https://api.test/?a=b"}, "upstream"),
        ({"upstream": "https://api.test:99999"}, "upstream"),
        ({"door": ""}, "door"),
        ({"port": 70000}, "port"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_wrong_order_is_refused_by_the_name_of_the_field(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ForwarderOrder.model_validate({**ORDER, **changes})
    (error,) = refused.value.errors()
    assert error["loc"] == (named,)
    assert "secret" not in error["msg"]


def test_a_process_with_a_wrong_order_says_so_and_ends(environ: dict[str, str]) -> None:
    with started(environ, upstream="https://user:secret@api.test") as process:
        error = told(process)["error"]
        assert process.wait(WAIT_S) == 1
    assert error.startswith("upstream: ")
    assert "secret" not in error


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "CLAUDE_CODE_CLIENT_CERT"])
async def test_certificates_that_cannot_be_read_are_named(
    variable: str, environ: dict[str, str], tmp_path: Path
) -> None:
    order = ForwarderOrder.model_validate({**ORDER, "key": new_key()})
    with pytest.raises(ConfigError, match=variable):
        async with forwarder(order, {**environ, variable: str(tmp_path / "none.pem")}):
            pass


async def test_a_taken_port_is_an_error_that_says_so(environ: dict[str, str]) -> None:
    async with server(hello) as taken:
        order = ForwarderOrder.model_validate({**ORDER, "port": int(taken.url.rpartition(":")[2])})
        with pytest.raises(ConfigError, match="in use"):
            async with forwarder(order, environ):
                pass


@pytest.mark.parametrize("number", sampled([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
def test_it_ends_with_its_launcher_however_that_ends(number: signal.Signals, environ: dict[str, str]) -> None:
    launcher = (
        "import asyncio, json, os, sys\n"
        "from mcp_local_llm.agents.forwarder.launched import forwarder\n"
        "from mcp_local_llm.agents.forwarder.order import ForwarderOrder\n"
        "async def main():\n"
        "    async with forwarder(ForwarderOrder.model_validate_json(sys.argv[1]), os.environ) as url:\n"
        "        print(url, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", launcher, json.dumps(ORDER)], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"http://127.0.0.1:")
        (child,) = psutil.Process(process.pid).children()
        process.send_signal(number)
        process.wait(WAIT_S)
        child.wait(WAIT_S)


async def test_its_end_cuts_what_is_under_way(environ: dict[str, str]) -> None:
    arrived = anyio.Event()

    async def deaf(peer: object) -> None:
        arrived.set()
        await anyio.sleep_forever()

    async with server(deaf) as upstream:
        with started(environ, upstream=upstream.url) as process:
            async with calling(told(process)["url"]) as caller, anyio.create_task_group() as tasks:

                async def ask() -> None:
                    body = message(OTHER)
                    with pytest.raises((h11.RemoteProtocolError, anyio.BrokenResourceError)):
                        await caller.ask("POST", PATH, posted(body), body)

                tasks.start_soon(ask)
                with anyio.fail_after(WAIT_S):
                    await arrived.wait()
                assert process.stdin is not None
                process.stdin.close()
            assert process.wait(WAIT_S) == 0


async def test_nothing_of_a_request_is_left_in_a_file_or_told(environ: dict[str, str], home: Path) -> None:
    word = "a-word-that-stands-nowhere-else"
    temporary = home / "tmp"
    temporary.mkdir()
    noisy = {"TMPDIR": str(temporary), "HTTPX_LOG_LEVEL": "trace", "PYTHONASYNCIODEBUG": "1", "DEBUG": "*"}
    async with server(hello) as upstream:
        with started({**environ, **noisy}, upstream=upstream.url) as process:
            url = told(process)["url"]
            for model in (OTHER, OURS):
                body = message(model, word * 10_000)
                async with calling(url) as caller:
                    response = await caller.ask("POST", f"{PATH}&{word}", posted(body, ("X-Word", word)), body)
                    await caller.body()
                assert response.status_code == (200 if model == OTHER else 503)
            async with calling(url) as caller:
                await caller.stream.send(word.encode() + b" is no HTTP\r\n\r\n")
                await caller.stream.receive()
            with anyio.fail_after(WAIT_S):
                stdout, stderr = await anyio.to_thread.run_sync(process.communicate)
    assert stdout == b""
    assert len(stderr.splitlines()) == 2
    for secret in (word, LOGIN):
        assert secret not in stderr.decode()
    kept = [path for path in home.rglob("*") if path.is_file()]
    assert [path for path in kept if word.encode() in path.read_bytes()] == []
    assert os.listdir(temporary) == []


async def test_a_dead_local_model_is_an_error_for_the_subagent_alone(environ: dict[str, str]) -> None:
    async with server(hello) as upstream:
        with started(environ, upstream=upstream.url) as process:
            async with calling(told(process)["url"]) as caller:
                for _ in range(3):
                    body = message(OURS)
                    response = await caller.ask("POST", PATH, posted(body), body)
                    error = json.loads(await caller.body())
                    assert (response.status_code, dict(response.headers)[b"x-should-retry"]) == (503, b"false")
                    assert (error["type"], error["error"]["type"]) == ("error", "api_error")
                    assert OURS in error["error"]["message"]
                    body = message(OTHER)
                    await caller.ask("POST", PATH, posted(body), body)
                    assert await caller.body() == b"hello"
            assert process.stdin is not None
            process.stdin.close()


async def test_an_api_that_is_gone_is_an_error_and_the_local_model_goes_on(environ: dict[str, str]) -> None:
    async with server(hello) as door:
        with started(environ, upstream="http://127.0.0.1:9", door=door.url) as process:
            async with calling(told(process)["url"]) as caller:
                body = message(OTHER)
                assert (await caller.ask("POST", PATH, posted(body), body)).status_code == 502
                assert "http://127.0.0.1:9" in json.loads(await caller.body())["error"]["message"]
                body = message(OURS)
                assert (await caller.ask("POST", PATH, posted(body), body)).status_code == 200
                await caller.body()
            assert process.stdin is not None
            process.stdin.close()
