"""Logs and state hold no text of prompts and answers, whatever goes wrong."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import pytest

from tests.clients import WAIT_S, private_environ
from tests.doors.http.test_serve import serve
from tests.engines.http.fake_server import Exchange, delta, fake_server
from tests.model_cache import TINY
from tests.reliability.soak_sessions import HttpSession
from tests.sharing.sessions import begin, remove_runtime
from tests.wire import Wire, open_wire

ASKED, ANSWERED = "xylophone-4711", "bassoon-0815"
"""Words of every prompt, and of every answer of a server."""
LOUD = '{{ raise_exception("cannot read " + messages[-1]["content"]) }}'
"""A template that repeats the prompt in its error."""
UNREADABLE = (
    f'{{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {{"{ASKED}": ',
    f'{{"jsonrpc": "2.0", "id": 8, "method": "{ASKED}", "params": {{}}}}',
    f'{{"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {{"name": "{ASKED}", "arguments": 7}}}}',
    f'{{"jsonrpc": "2.0", "method": "notifications/{ASKED}", "params": {{"x": "{ASKED}"}}}}',
    f'["{ASKED}"]',
    f"{ASKED} \udcff",
)
"""Lines of a client that no server understands."""


def calls() -> list[tuple[str, dict[str, Any]]]:
    """One call for each phase in which something goes wrong, and some that go well."""
    tool = {"type": "function", "function": {"name": "f", "description": ASKED, "parameters": {"type": "object"}}}
    history = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ASKED}]
    chats: list[dict[str, Any]] = [
        {"model": "tiny", "system": ASKED, "history": history, "tools": [tool], "max_tokens": 8},
        {"model": f"no-{ASKED}"},
        {"model": "loud"},
        {"model": "torn"},
        {"model": "tiny", "response_schema": {"type": ASKED}},
        {"model": "tiny", "response_schema": {"type": "object", "description": ASKED}, "max_tokens": 8},
        {"model": "tiny", "temperature": ASKED},
        {"model": "tiny", ASKED: ASKED},
        {"model": "tiny", "message": f"{ASKED} " * 4000},
        {"model": "tiny", "stop": [ASKED], "max_tokens": 8},
        {"model": "tiny", "files": "note.txt", "max_tokens": 8},
        {"model": "tiny", "files": "*", "each_file": True, "max_tokens": 8},
        {"model": "loud", "files": "*", "each_file": True},
        *({"model": f"box/{kind}"} for kind in ("echo", "cut", "garbage", "page", "answer", "late")),
        {"model": "box/echo", "files": "note.txt", "each_file": True},
    ]
    drafts = [{"path": "new.txt", "model": name} for name in ("loud", "torn", "box/echo", "box/cut")]
    drafts += [{"path": "../out.txt"}, {"path": "new.txt", "model": "tiny", "files": "note.txt"}]
    return [
        *(("chat", {"message": ASKED} | chat) for chat in chats),
        *(("draft", {"message": ASKED} | draft) for draft in drafts),
        ("set_model", {"name": ASKED}),
        ("set_model", {"name": "torn"}),
        (ASKED, {"message": ASKED}),
    ]


BODIES: tuple[tuple[str, Any], ...] = (
    ("/chat/completions", {"model": "", "messages": [{"role": "user", "content": ASKED}], "temperature": ASKED}),
    ("/chat/completions", {"model": "loud", "messages": [{"role": "user", "content": ASKED}]}),
    ("/chat/completions", {"model": "loud", "stream": True, "messages": [{"role": "user", "content": ASKED}]}),
    ("/messages", {"model": "box/cut", "max_tokens": 9, "messages": [{"role": "user", "content": ASKED}]}),
    ("/responses", {"model": "box/echo", "stream": True, "input": ASKED}),
    ("/responses", {"model": "", "input": [{"type": ASKED, "content": ASKED}]}),
    ("/completions", {"model": "torn", "prompt": ASKED}),
)


async def failing(exchange: Exchange) -> None:
    """A server that fails in the way that the model's name says, and repeats what it was asked."""
    asked = json.dumps(exchange.received.body)
    match exchange.received.body["model"]:
        case "echo":
            await exchange.json(500, {"error": {"message": asked, "type": "server_error"}})
        case "cut":
            await exchange.head()
            await exchange.event(delta(content=f"{ANSWERED} {ASKED}"))
        case "garbage":
            await exchange.head()
            await exchange.event(f"{{{asked}")
        case "page":
            await exchange.head(200, "text/html")
            await exchange.raw(f"<html>{asked}</html>".encode())
        case "late":
            await exchange.head()
            await exchange.event(delta(content=ANSWERED))
            await exchange.event({"error": {"message": asked}})
        case _:
            await exchange.stream(delta(content=ANSWERED), delta(finish="stop"))


@pytest.mark.slow
@pytest.mark.parametrize("level", ["WARNING", "DEBUG"])
@pytest.mark.fault(
    "What a model or an agent cannot do",
    "errors in every phase (arguments, files, load, template, schema, prefill, decode, other servers, lines that are "
    "no protocol), logged at the level {level}",
    promised="no word of a prompt, a file or an answer is on stderr or in the state folder",
)
async def test_no_log_holds_a_word_of_a_prompt(tmp_path: Path, level: str, record_property: Any) -> None:
    async with fake_server(failing) as server:
        environ = prepared(tmp_path, server.url) | {"MCP_LOCAL_LLM_LOG_LEVEL": level}
        async with open_wire(environ) as holder, open_wire(environ) as attached:
            for wire in (holder, attached):
                await go_wrong(wire)
            said = await over_http(environ)
            for wire in (attached, holder):
                await wire.close_stdin()
                await wire.ended()
                said += wire.errors()
        await anyio.to_thread.run_sync(remove_runtime, environ)
    record_property("tries", 2 * (len(calls()) + len(UNREADABLE) + 1) + len(BODIES))
    kept = [path for path in (tmp_path / "home" / ".local").rglob("*") if path.is_file()]
    assert [line for line in said.splitlines() if ASKED in line or ANSWERED in line] == []
    assert [path for path in kept if ASKED.encode() in path.read_bytes()] == []


async def go_wrong(wire: Wire) -> None:
    for tool, arguments in calls():
        await wire.answer(await wire.call(tool, **arguments))
    await wire.cancel(await begin(wire, model="tiny"))
    assert wire.process.stdin is not None
    for line in UNREADABLE:
        await wire.process.stdin.send(line.encode("utf-8", "surrogateescape") + b"\n")
    await wire.answer(await wire.call("status"))


async def over_http(environ: Mapping[str, str]) -> str:
    """Send requests that fail; returns what the process wrote."""
    with serve(dict(environ)) as served:
        session = HttpSession(served, "http")
        async with httpx.AsyncClient(base_url=served.url, timeout=WAIT_S) as http:
            for path, asked in BODIES:
                await http.post(path, json=asked)
            await http.post("/chat/completions", content=f'{{"{ASKED}')
            await http.get(f"/models/{ASKED}")
        await session.leave()
        session.close()
        return "".join(session.said)


def prepared(folder: Path, url: str) -> dict[str, str]:
    """A home with a project, a model whose template fails, one whose weights are cut, and a server that fails."""
    home, models, project = folder / "home", folder / "models", folder / "project"
    shutil.copytree(TINY, models / "loud")
    (models / "loud" / "chat_template.jinja").write_text(LOUD)
    shutil.copytree(TINY, models / "torn")
    weights = models / "torn" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4096])
    project.mkdir()
    (project / "note.txt").write_text(f"{ASKED}\n")
    (project / "binary.bin").write_bytes(ASKED.encode() + b"\0\1\2")
    settings = home / ".config" / "mcp-local-llm" / "config.toml"
    settings.parent.mkdir(parents=True)
    named = json.dumps(["echo", "cut", "garbage", "page", "answer", "late"])
    settings.write_text(f'[[endpoints]]\nname = "box"\nurl = "{url}"\nmodels = {named}\nfiles = true\n')
    return private_environ(home) | {"CLAUDE_PROJECT_DIR": str(project), "MCP_LOCAL_LLM_FOLDERS": str(models)}
