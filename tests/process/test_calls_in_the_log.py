"""One id for a call in every process that works on it, its line in the log file, and the last failures in `status`."""

import json
import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.clients import WAIT_S
from tests.wire import Wire, open_wire

PROMPT, FILE, KEY, OTHER_KEY, USER, PASSWORD = (
    "xylophone-4711",
    "saxophone-4712",
    "trombone-4713-key",
    "clarinet-4714-key",
    "bassoonist",
    "contrabass-4716",
)
PRIVATE = (PROMPT, FILE, KEY, OTHER_KEY, USER, PASSWORD)
CONFIG = f"""
api_key = "{KEY}"
[[endpoints]]
name = "gone"
url = "http://127.0.0.1:9/v1"
api_key_env = "OTHER"
models = ["one"]
"""
LINE = re.compile(r"^[0-9-]{10}T[0-9:.]{12}Z (\d+) [A-Z]+ ([0-9a-f-]+) [\w.]+: ")

SERVER = (sys.executable, "-m", "mcp_local_llm")

Json = dict[str, Any]


def log_of(home: Path) -> str:
    return (home / ".local/state/mcp-local-llm/mcp-local-llm.log").read_text(encoding="utf-8")


async def lines_of(home: Path, ident: str, text: str) -> list[str]:
    """Wait until the log has a line with this text for a call; return all lines of the call."""
    with anyio.fail_after(WAIT_S):
        while True:
            lines = [line for line in log_of(home).splitlines() if f" {ident} " in line]
            if any(text in line for line in lines):
                return lines
            await anyio.lowlevel.checkpoint()


async def called(wire: Wire, tool: str, **arguments: Any) -> tuple[Json, str]:
    """Call a tool; return its result and the id of the call."""
    result = (await wire.answer(await wire.call(tool, **arguments)))["result"]
    return result, result["_meta"]["local-llm/request"]


@asynccontextmanager
async def served(environ: dict[str, str]) -> AsyncGenerator[httpx.AsyncClient]:
    """`serve` on a free port, and a client of it."""
    command = [*SERVER, "serve", "--port", "0"]
    async with await anyio.open_process(command, env=environ, stdin=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        try:
            said = b""
            with anyio.fail_after(WAIT_S):
                while not (found := re.search(rb"http://\S+/v1", said)):
                    said += await process.stderr.receive()
            async with httpx.AsyncClient(base_url=found[0].decode(), timeout=WAIT_S) as http:
                yield http
        finally:
            process.kill()


@pytest.fixture
def private(environ: dict[str, str], home: Path) -> dict[str, str]:
    """An environment with private words in all places that have some."""
    home = home / USER
    config = home / ".config" / "mcp-local-llm" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG)
    # Else stderr names the file, with what to do.
    config.chmod(0o600)
    registry = home / ".config" / "ai-stack" / "registry.json"
    registry.parent.mkdir()
    registry.write_text(json.dumps({"endpoints": {"x": f"http://name:{PASSWORD}@127.0.0.1:9/v1"}}))
    (home / "notes.txt").write_text(f"The file says {FILE}.\n")
    return environ | {"HOME": str(home), "USER": USER, "OTHER": OTHER_KEY, "MCP_LOCAL_LLM_ROOTS": str(home)}


async def test_a_call_has_one_id_in_the_session_in_the_holder_and_in_the_engine(private: dict[str, str]) -> None:
    home = Path(private["HOME"])
    async with open_wire(private) as holder, open_wire(private) as other:
        _, first = await called(holder, "chat", message=PROMPT, model="tiny", max_tokens=4, thinking=False)
        _, second = await called(
            other, "chat", message=PROMPT, model="tiny", max_tokens=4, files=[str(home / "notes.txt")]
        )
        mine = await lines_of(home, first, "mcp chat: answered")
        both = await lines_of(home, second, "mcp chat: answered")
        refused, third = await called(other, "chat", message=PROMPT, model=f"no-{PROMPT}")
        assert refused["isError"]
        _, fourth = await called(other, "chat", message=PROMPT, model="gone/one")
        _, fifth = await called(holder, "chat", message="x", nonsense=PROMPT)
        shown = [(await called(wire, "status"))[0] for wire in (holder, other)]
        command = subprocess.run([*SERVER, "status", "--json"], env=private, capture_output=True, check=True)
        holder_pid, other_pid = holder.process.pid, other.process.pid
        said = holder.errors() + other.errors()
    assert [LINE.match(line) for line in mine + both if not LINE.match(line)] == []
    assert {pid_of(line) for line in mine} == {holder_pid}
    assert [line for line in mine if "loads tiny" in line]
    for call, lines, door in ((first, mine, holder_pid), (second, both, other_pid)):
        assert [line for line in lines if "reads a prompt of " in line and pid_of(line) == holder_pid], call
        assert [line for line in lines if ": mcp chat: answered" in line and pid_of(line) == door], call
    assert [line for line in both if f"mcp chat, chat of process {other_pid}: answered" in line]
    # The same failures from both ends and from a third process, without a word that was said.
    failures = [status["structuredContent"]["failures"] for status in shown] + [json.loads(command.stdout)["failures"]]
    for told in failures:
        assert [row["request"] for row in told if row["request"] in (third, fourth)] == [third, fourth]
        by_id = {row["request"]: row for row in told}
        assert by_id[third]["error"] == "UnknownModelError"
        assert by_id[third]["sentence"] == "No model has this name."
        assert by_id[third]["door"].startswith("mcp chat")
        assert by_id[fourth]["error"] == "BackendUnavailableError"
        assert fifth in by_id
    assert f"request {third}: UnknownModelError: No model has this name." in shown[1]["content"][0]["text"]
    everything = log_of(home) + json.dumps(failures) + said
    assert [word for word in PRIVATE if word in everything] == []


def pid_of(line: str) -> int:
    found = LINE.match(line)
    assert found, line
    return int(found[1])


async def test_each_response_over_http_has_an_id_which_may_be_the_client_s(private: dict[str, str]) -> None:
    home = Path(private["HOME"])
    body = {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 4, "model": "tiny"}
    own = "0f8fad5b-d9cb-469f-a165-70867728950e"
    key = {"authorization": f"Bearer {KEY}"}
    async with served(private | {"MCP_LOCAL_LLM_LOG_FILE_LEVEL": "debug"}) as http:
        answered = await http.post("/chat/completions", json=body, headers=key | {"x-request-id": own})
        assert (answered.status_code, answered.headers["x-request-id"]) == (200, own)
        streamed = await http.post("/messages", json=body | {"stream": True}, headers=key)
        refused = await http.post("/messages", json=body | {"model": f"no-{PROMPT}"}, headers=key)
        odd = await http.get(f"/{PROMPT}", headers=key | {"x-request-id": PROMPT})
        await http.request(PROMPT, "/models", headers=key)
        locked = await http.get("/models")
        ids = [response.headers["x-request-id"] for response in (answered, streamed, refused, odd, locked)]
        assert len(set(ids)) == 5
        assert [ident for ident in ids[1:] if not re.fullmatch("[0-9a-f]{8}", ident)] == []
        assert refused.json()["request_id"] == refused.headers["request-id"] == f"req_{ids[2]}"
        for ident, says in (
            (own, "http POST /v1/chat/completions: HTTP 200"),
            (ids[1], "http POST /v1/messages: HTTP 200"),
            (ids[2], "http POST /v1/messages: failed after"),
        ):
            lines = await lines_of(home, ident, says)
            assert [line for line in lines if "tokens" in line or "UnknownModelError" in line]
    # httpx writes the method, which a client chooses, in capitals.
    assert PROMPT.upper() not in log_of(home)
    assert [word for word in PRIVATE if word in log_of(home)] == []


@pytest.mark.parametrize(
    ("variables", "there"),
    [({"MCP_LOCAL_LLM_LOG_FILE_MB": "0"}, False), ({"MCP_LOCAL_LLM_LOG_FILE_LEVEL": "warning"}, False), ({}, True)],
)
async def test_the_file_can_be_switched_off_and_has_a_level(
    environ: dict[str, str], home: Path, variables: dict[str, str], there: bool
) -> None:
    async with open_wire(environ | variables) as wire:
        await called(wire, "list_models")
        await wire.close_stdin()
        await wire.ended()
    assert (home / ".local/state/mcp-local-llm/mcp-local-llm.log").exists() == there


FULL_DISK = ("/bin/sh", "-c", f"ulimit -f 1; exec {sys.executable} -m mcp_local_llm")


@pytest.mark.fault(
    "Logs", "{what} while a server answers", "every call is answered, and the log holds no half line", tries=3
)
@pytest.mark.parametrize("what", ["The disk of the log is full", "The folder of the log cannot be made"])
async def test_calls_are_answered_though_the_log_cannot_be_written(
    environ: dict[str, str], home: Path, what: str, attempt: int
) -> None:
    full = "full" in what
    if not full:
        (home / ".local").write_text("no folder")
    async with open_wire(environ, command=FULL_DISK if full else SERVER) as wire:
        for _ in range(40):
            result, _ = await called(wire, "list_models")
            assert not result.get("isError")
        await wire.close_stdin()
        assert await wire.ended() == 0
        # stderr is a file as well, with as little room.
        assert wire.errors().count("cannot be written: ") == 1
    if full:
        *whole, _ = log_of(home).split("\n")
        assert [line for line in whole if not LINE.match(line)] == []
        assert len(whole) > 2
