"""What Codex and opencode send to the Responses API, replayed at a door before a model that recites."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.apps import opened
from tests.behaviour.reciting_model import Script, cut, write_reciting_model
from tests.clients import private_environ
from tests.doors.http.conftest import open_door
from tests.doors.http.door import Door, Json
from tests.doors.http.responses.recorded import REQUESTS
from tests.doors.http.responses.streams import events

MODEL = "reciting"
CALL = '<tool_call>\n{"name": "exec_command", "arguments": {"cmd": "cat a.txt"}}\n</tool_call>'
SCRIPTS = {
    "CALL": Script(cut(f"<think>\nI read it.\n</think>\n\nI read it.\n{CALL}")),
    "DONE": Script(cut("The file says: Buy milk.")),
    "TITLE": Script(cut('{"title": "A title"}')),
}
"""What is said: to a user with tools, behind a tool's result, and without tools."""
CHOOSER = (
    "{%- set said = 'TITLE' if not tools else 'CALL' if messages[-1].role == 'user' else 'DONE' -%}"
    "{#- <tool_call> tool_call.name -#}"
)
TURNS = {name for name, body in REQUESTS.items() if body["input"][-1].get("type") == "function_call_output"}


@pytest.fixture(scope="module")
async def reciting(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Door]:
    """A door before one reciting model."""
    home: Path = tmp_path_factory.mktemp("home")
    write_reciting_model(home / "models" / MODEL, SCRIPTS, chooser=CHOOSER)
    environ = {**private_environ(home), "MCP_LOCAL_LLM_FOLDERS": str(home / "models"), "MCP_LOCAL_LLM_MODEL": MODEL}
    async with opened(environ, home) as app, open_door(app) as door:
        yield door


async def answered(door: Door, body: Json) -> tuple[Json, Json]:
    """The answer as its events tell it at the end, and in one piece."""
    reply = await door.http.post("/v1/responses", json={**body, "model": MODEL, "stream": True})
    assert reply.status_code == 200, reply.text
    whole = await door.http.post("/v1/responses", json={**body, "model": MODEL, "stream": False})
    assert whole.status_code == 200, whole.text
    told = events(reply.text)
    assert told[-1]["type"] == "response.completed"
    done = [event["item"] for event in told if event["type"] == "response.output_item.done"]
    assert done == told[-1]["response"]["output"]
    return told[-1]["response"], whole.json()


def compared(response: Json) -> list[Json]:
    """The items without made-up ids."""
    return [{key: value for key, value in item.items() if key not in ("id", "call_id")} for item in response["output"]]


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_recorded_request_is_answered_streamed_and_whole(reciting: Door, name: str) -> None:
    body, form = dict(REQUESTS[name]), dict[str, Any]()
    if "format" in body.get("text", {}):
        # Where a grammar leaves the script, only a bound ends a text.
        form = {**body["text"]["format"], "schema": bounded(body["text"]["format"]["schema"])}
        body["text"] = {"format": form}
    streamed, whole = await answered(reciting, body)
    assert compared(streamed) == compared(whole)
    assert streamed["usage"]["input_tokens"] == whole["usage"]["input_tokens"]
    kinds = [item["type"] for item in whole["output"]]
    alone = name in TURNS or form or not body["tools"]
    assert kinds == (["message"] if alone else ["reasoning", "message", "function_call"])
    if form:
        assert list(json.loads(whole["output"][0]["content"][0]["text"])) == form["schema"]["required"]


def bounded(schema: Json) -> Json:
    """The schema, with short texts."""
    properties = {name: {**value, "maxLength": 9} for name, value in schema["properties"].items()}
    return {**schema, "properties": properties}


async def test_titles_beside_a_turn_take_nothing_from_the_prompt_of_the_next_turn(reciting: Door) -> None:
    first, title = REQUESTS["codex_first"], dict[str, Any](REQUESTS["codex_title"], text=None)
    usages = list[Json]()

    async def turn(body: Json) -> None:
        usages.append((await answered(reciting, body))[0]["usage"])

    for _ in range(3):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn, first)
            for number in range(3):
                words = [*title["input"], {"role": "user", "content": f"Title {number}"}]
                tasks.start_soon(answered, reciting, {**title, "input": words})
    await turn(REQUESTS["codex_tool_turn"])
    assert usages[-1]["input_tokens_details"]["cached_tokens"] >= usages[0]["input_tokens"] * 0.95
