"""Lines that no session should send, on the socket of the process that holds the model: one last line each."""

import json
import socket
from collections.abc import AsyncGenerator
from dataclasses import fields
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mcp_local_llm.llm.verb_lines import PROTOCOL, VERBS
from mcp_local_llm.values.chat import SamplingParams
from tests.clients import WAIT_S, private_environ
from tests.reliability.drawn import ODD_NUMBERS, TEXTS, VALUES, as_json, drawn, fault_of_error
from tests.sharing.sessions import GREETING, ask, runtime
from tests.wire import Json, Wire, open_wire

GROUP = "Bad input"
FORBIDDEN = "drain"
"""The one verb that is meant to end the process's work; its arguments are none, so nothing about them can be wrong."""
REQUEST: Json = {"messages": [{"role": "user", "content": "Hello"}], "sampling": {"max_tokens": 2}}
WHOLE: dict[str, Json] = {
    "chat": {"request": REQUEST, "model": None, "caller": {"client": "x"}},
    "count": {"items": [REQUEST, "Hello"], "model": None, "caller": {}},
    "set_model": {"name": "tiny", "download": False},
    "quick_test": {"test": "hello", "caller": {}},
    "unload": {"force": False},
    "download": {"name": "org/none"},
    "list_models": {"caller": {}},
    "complete": {"typed": "t"},
    "candidates": {"name": "t"},
}
FIELDS = ("request", "model", "caller", "items", "name", "download", "test", "force", "typed")
INNER = ("messages", "tools", "sampling", "prompt", "response_schema", "max_thinking_tokens", "thinking", "must_call")
SAMPLING = tuple(entry.name for entry in fields(SamplingParams))


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def holder(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[tuple[Wire, Path]]:
    """A server that holds the model, and its socket."""
    home = tmp_path_factory.mktemp("home")
    environ = {**private_environ(home), "MCP_LOCAL_LLM_MAX_GENERATION_TOKENS": "24"}
    async with open_wire(environ) as wire:
        assert await ask(wire) == GREETING
        yield wire, runtime(environ) / "holder.sock"
        assert await ask(wire) == GREETING
        assert "Traceback" not in wire.errors(), wire.errors()[-3000:]


def verb_lines() -> SearchStrategy[Json]:
    """Lines of a verb: whole ones with a changed part, and others."""
    odd = st.dictionaries(st.sampled_from(FIELDS) | TEXTS, VALUES, max_size=2)
    numbers = st.dictionaries(st.sampled_from(SAMPLING), st.sampled_from(ODD_NUMBERS), max_size=3)
    sampling = numbers.map(lambda given: {"sampling": {"max_tokens": 2, **given}})
    texts = TEXTS.map(lambda text: {"messages": [{"role": "user", "content": text}]})
    inner = st.dictionaries(st.sampled_from(INNER), VALUES, max_size=2) | sampling | texts
    verbs = st.sampled_from(sorted(VERBS.keys() - {FORBIDDEN})) | TEXTS

    def line(verb: str, changed: Json, request: Json, whole: bool, version: Any) -> Json:
        arguments = {**(WHOLE.get(verb, {}) if whole else {}), **changed}
        if whole and verb == "chat":
            arguments["request"] = {**REQUEST, **request}
        return {"protocol": version, "version": "0", "verb": verb, "arguments": arguments}

    return st.builds(line, verbs, odd, inner, st.booleans(), st.just(PROTOCOL) | VALUES)


def deep(levels: int) -> bytes:
    """A line with lists in lists."""
    return b'{"verb":"chat","arguments":{"request":' + b"[" * levels + b"]" * levels + b"}}"


RAW = st.one_of(
    st.binary(max_size=80).map(lambda data: data.replace(b"\n", b" ")),
    VALUES.map(lambda value: as_json(value).encode()),
    verb_lines().map(lambda line: as_json(line).encode()),
    verb_lines().map(lambda line: as_json(line).encode()[:-3]),
    st.sampled_from([900, 3000, 100_000]).map(deep),
    st.just(b'{"verb":"set_model","arguments":{"name":' + b"9" * 5000 + b"}}"),
)


def exchanged(path: Path, line: bytes) -> list[Json]:
    """Send one line, and read what comes until the end."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(WAIT_S)
        connection.connect(str(path))
        connection.sendall(line + b"\n")
        with connection.makefile("rb") as lines:
            return [json.loads(one) for one in lines]


@pytest.mark.fault(
    GROUP,
    "lines on the socket between sessions: bytes, other JSON, verbs with wrong, unknown and missing arguments",
    promised="each gets one result or one error, a sentence without a trace; the process lives",
    tries=400,
)
async def test_a_line_on_the_socket_gets_one_last_line(holder: tuple[Wire, Path], tries: int) -> None:
    wire, path = holder
    wrong: list[str] = []
    for line in drawn(RAW, tries):
        told = await anyio.to_thread.run_sync(exchanged, path, line)
        assert told[0]["pid"] == wire.process.pid
        last = [one for one in told[1:] if one.keys() & {"result", "error"}]
        assert last == told[-1:], (line[:300], told)
        if "error" in last[0] and (fault := fault_of_error(last[0]["error"]["message"])):
            wrong.append(f"{line[:300]!r}: {fault}")
    assert "\n".join(wrong) == ""


@pytest.mark.fault(
    GROUP,
    "connections to the socket that end in the middle of a line",
    promised="the next call is answered",
    tries=50,
)
async def test_a_connection_that_ends_in_a_line_harms_no_other(holder: tuple[Wire, Path], tries: int) -> None:
    wire, path = holder
    for line in drawn(RAW, tries):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(line[: len(line) // 2])
    assert await ask(wire) == GREETING
