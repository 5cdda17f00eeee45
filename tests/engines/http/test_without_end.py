"""Servers whose answers have no end or numbers without measure: the call ends, with an error of ours or an answer."""

import json
from collections.abc import Awaitable, Callable, Iterator

import anyio
import anyio.abc
import pytest

from mcp_local_llm.engines.http import EndpointLoader, EndpointModels, engine
from mcp_local_llm.engines.http.connection import Connection
from mcp_local_llm.engines.http.engine import HttpEngine
from mcp_local_llm.values.errors import BackendProtocolError, BackendUnavailableError, LocalLLMError
from mcp_local_llm.values.model import endpoint_model
from tests.clients import WAIT_S
from tests.engines.http.asking import answer_of, asked, endpoint, engine_for
from tests.engines.http.fake_server import Exchange, Script, call_piece, counts, delta, fake_server, refuses, says

HUGE = 10**400
TEXT = "la " * 20_000


def event(value: object) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def again(data: bytes) -> Callable[[], Iterator[bytes]]:
    def parts() -> Iterator[bytes]:
        while True:
            yield data

    return parts


def new_calls() -> Iterator[bytes]:
    number = 0
    while True:
        yield b"".join(event(delta(tool_calls=[call_piece(number + one, name="f")])) for one in range(100))
        number += 100


ENDLESS = {
    "text": again(event(delta(content=TEXT))),
    "reasoning": again(event(delta(reasoning_content=TEXT))),
    "arguments of a call": again(event(delta(tool_calls=[call_piece(0, name="f", arguments=TEXT)]))),
    "calls": new_calls,
    "an event of many lines": again(b"data: " + TEXT.encode() + b"\n"),
}


@pytest.mark.parametrize("parts", ENDLESS.values(), ids=ENDLESS.keys())
async def test_an_answer_without_end_is_given_up(parts: Callable[[], Iterator[bytes]]) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.head()
        for part in parts():
            await exchange.raw(part)

    with pytest.raises(BackendProtocolError, match=r"box .*(more|longer) than"):
        await asked(script)


async def test_a_server_that_goes_on_behind_the_end_of_its_answer_does_not_hold_it_up() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.event(delta(content="Hi", finish="stop"))
        while True:
            await exchange.raw(b": still here\n\n")

    with anyio.fail_after(WAIT_S):
        async with fake_server(script) as server:
            model = endpoint_model(endpoint(server.url), "m")
            answer = await answer_of(HttpEngine(model, Connection(endpoint(server.url), {}), usage_wait_s=0.2))
    assert answer.text == "Hi"


async def test_the_words_of_an_error_are_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.head(503, "application/json")
        await exchange.raw(b'{"error": "')
        await exchange.gone()

    async with engine_for(script) as (box, _):
        monkeypatch.setattr(engine, "PROBE_TIMEOUT_S", 0.2)
        with pytest.raises(BackendUnavailableError, match="HTTP 503"):
            await answer_of(box)


async def listing(answer: bytes, rest: Callable[[anyio.abc.SocketStream], Awaitable[None]]) -> None:
    """Load a model of a server that answers every request with these bytes and what `rest` sends."""

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            try:
                await stream.send(answer)
                await rest(stream)
            except (anyio.BrokenResourceError, anyio.EndOfStream):
                pass  # The client has gone.

    failure: LocalLLMError | None = None
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    box = endpoint(f"http://127.0.0.1:{port}/v1", "mcp-local-llm")
    with anyio.fail_after(WAIT_S):
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, serve)
            try:
                await EndpointLoader({}).load(endpoint_model(box, "m"), lambda _: None)
            except LocalLLMError as error:
                failure = error  # Raised below: a task group would wrap it.
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def nothing(stream: anyio.abc.SocketStream) -> None:
    """Send nothing more."""


async def test_a_list_that_trickles_in_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def trickle(stream: anyio.abc.SocketStream) -> None:
        while True:
            await stream.send(b" ")
            await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(engine, "PROBE_TIMEOUT_S", 0.2)
    heads = (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n", b"HTTP/1.1 200 OK\r\n")
    for head in heads:
        with pytest.raises((BackendUnavailableError, BackendProtocolError), match="box"):
            await listing(head, trickle)


async def test_a_server_of_ours_whose_holder_is_gone_and_loading_is_not_waited_for() -> None:
    body = json.dumps({"error": {"message": "The process that is loading is gone.", "code": "holder_gone"}}).encode()
    head = f"HTTP/1.1 503 X\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    # Any answer shows that it runs; the request itself then tells why it is refused.
    await listing(head + body, nothing)


async def test_a_server_that_is_loading_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(engine, "LOADING_S", 120.0)
    script = refuses(503, {"error": {"message": "Loading model"}})
    with anyio.fail_after(WAIT_S):
        async with fake_server(script) as server:
            box = await EndpointLoader({}, sleep=sleep).load(endpoint_model(endpoint(server.url), "m"), lambda _: None)
            with pytest.raises(BackendUnavailableError, match=r"still says that it is loading .* 2 minutes"):
                await answer_of(box)
    assert len(waits) == 120


HI = delta(content="Hi", finish="stop")
ODD: dict[str, Script] = {
    "timings": says(HI, {**counts(), "timings": {"prompt_ms": HUGE, "predicted_ms": 1}}),
    "timings of ours": says(HI, {**counts(), "local_llm": {"timings": {"load_s": HUGE}}}),
    "counts": says(HI, counts(HUGE, HUGE)),
    "progress": says({"choices": [], "prompt_progress": {"total": HUGE, "processed": HUGE}}, HI, counts()),
    "infinite": says(HI, json.dumps({**counts(), "timings": {"prompt_ms": float("inf"), "predicted_ms": 1.0}})),
}


@pytest.mark.parametrize("script", ODD.values(), ids=ODD.keys())
async def test_numbers_without_measure_count_as_absent(script: Script) -> None:
    answer = await asked(script)
    assert answer.text == "Hi"
    numbers = (*vars(answer.usage).values(), *vars(answer.timings).values())
    assert all(0 <= number < 2**53 for number in numbers), numbers


async def test_of_a_list_without_measure_the_first_models_are_listed_and_no_name_of_megabytes() -> None:
    names = ["x" * 1_000_000, *(f"m{number}" for number in range(50_000))]
    async with fake_server(says(), names) as server:
        found = await EndpointModels((endpoint(server.url),), {})()
    assert [found.models[0].id, found.models[-1].id] == ["box/m0", "box/m999"]
    assert "the first 1,000 models" in found.warnings[0]


async def test_warnings_of_a_server_are_few_and_short_lines() -> None:
    told = ["two\nlines\x1b[31m", *["x" * 100_000] * 100, 5]
    answer = await asked(says(HI, {**counts(), "local_llm": {"warnings": told}}))
    assert answer.warnings[0] == "two lines [31m"
    assert sum(map(len, answer.warnings)) < 50_000
