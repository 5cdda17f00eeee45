"""What the door takes from clients of other servers, seen from a plain socket."""

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_local_llm.wire.openai.read_request import incoming_request
from tests.apps import opened
from tests.clients import private_environ
from tests.doors.http.conftest import open_door
from tests.doors.http.door import ENDLESS, LEGS, Door, Json, events, question

CHAT = "/v1/chat/completions"
# Recorded from opencode 1.18.33, with stand-ins of the same length for its prose.
FIXTURES = sorted((Path(__file__).parent / "requests").glob("*.json"))


def answer(reply: httpx.Response) -> Json:
    """The answer in one piece; it must be one."""
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.mark.parametrize(
    "path",
    [f"{CHAT}/", f"/{CHAT}", "/v1//chat///completions//", "//v1/chat/completions/?beta=true"],
)
async def test_slashes_too_many_do_no_harm(door: Door, path: str) -> None:
    reply = await door.http.post(f"{door.url}{path}", json=question(LEGS, think=False))
    assert answer(reply)["choices"][0]["message"]["content"] == "10"


@pytest.mark.parametrize("path", ["/v1/models/", "//v1/models", "/v1/models//tiny/", "/health/", "/metrics/"])
async def test_slashes_too_many_do_no_harm_to_reports(door: Door, path: str) -> None:
    assert (await door.http.get(f"{door.url}{path}")).status_code == 200


async def test_reasoning_comes_under_both_names_whole_and_streamed(door: Door) -> None:
    message = answer(await door.http.post(CHAT, json=question(LEGS)))["choices"][0]["message"]
    assert message["reasoning"] == message["reasoning_content"] != ""
    told = events((await door.http.post(CHAT, json=question(LEGS, stream=True))).text)
    deltas = [event["choices"][0]["delta"] for event in told]
    for name in ("reasoning", "reasoning_content"):
        assert "".join(delta.get(name, "") for delta in deltas) == message["reasoning"]


@pytest.mark.parametrize("stream", [False, True])
async def test_unknown_fields_and_a_limit_that_is_too_large_are_warned_of(door: Door, *, stream: bool) -> None:
    fields: dict[str, Any] = {
        "flux": 1,
        "max_tokens": 1_000_000,
        "enable_thinking": False,
        "stream": stream,
        "model": "tiny",
    }
    reply = await door.http.post(CHAT, json=question(LEGS, **fields))
    warnings = (events(reply.text)[-1] if stream else answer(reply))["local_llm"]["warnings"]
    assert len(warnings) == 3
    assert "max_tokens" in warnings[0]
    assert warnings[1] == "Fields that are unknown here were ignored: flux."
    assert warnings[2].startswith("max_tokens was lowered from 131,072 to ")


async def test_a_limit_within_the_window_is_kept_without_a_word(door: Door) -> None:
    told = answer(await door.http.post(CHAT, json=question(ENDLESS, think=False, max_tokens=5, model="tiny")))
    assert told["usage"]["completion_tokens"] == 5
    assert told["local_llm"]["warnings"] == []


async def test_a_raw_prompt_is_treated_the_same(door: Door) -> None:
    body: Json = {
        "model": "tiny",
        "prompt": "la la",
        "max_tokens": 40_000,
        "flux": 1,
        "tools": [],
        "stop": "la la la la",
        "n": 0,
    }
    told = answer(await door.http.post("/v1/completions/", json=body))
    assert ["ignored" in warning for warning in told["local_llm"]["warnings"]] == [True, False]


async def test_json_with_a_schema_beside_the_type_is_held_to_it(door: Door) -> None:
    schema = {"type": "object", "properties": {"legs": {"enum": [41]}}, "required": ["legs"]}
    form = {"type": "json_object", "schema": schema}
    told = answer(await door.http.post(CHAT, json=question(LEGS, response_format=form, think=False, max_tokens=200)))
    assert json.loads(told["choices"][0]["message"]["content"])["legs"] == 41


@pytest.mark.parametrize("file", FIXTURES, ids=lambda file: file.stem)
def test_the_requests_of_real_clients_are_accepted(file: Path) -> None:
    body = json.loads(file.read_text(encoding="utf-8"))["body"]
    incoming = incoming_request(body)
    assert incoming.warnings == ()
    assert len(incoming.request.messages) == len(body["messages"])
    assert len(incoming.request.tools) == len(body.get("tools", []))


REFUSED: list[Json] = [
    {"model": "no-such-model"},
    {"model": "x" * 1_000_000},
    {"model": "99"},
    {"messages": [{"role": "x" * 1_000_000, "content": ""}]},
    {"messages": [{"role": "user", "content": [{"type": "y" * 1_000_000}]}]},
    {"temperature": "9" * 1_000_000},
    {"chat_template_kwargs": {"z" * 1_000_000: 1}},
]


@pytest.mark.parametrize("fields", REFUSED, ids=range(len(REFUSED)))
@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_is_short_and_names_no_tools(door: Door, fields: Json, *, stream: bool) -> None:
    reply = await door.http.post(CHAT, json=question(LEGS, stream=stream) | fields)
    assert 400 <= reply.status_code < 500
    assert len(reply.content) < 1000
    assert not [tool for tool in ("list_models", "set_model", "download=true") if tool in reply.text]


async def test_a_long_path_is_not_sent_back(door: Door) -> None:
    for path in ("/nowhere/" + "x" * 20_000, "/v1/models/" + "x" * 20_000):
        reply = await door.http.get(path)
        assert (reply.status_code, len(reply.content) < 500) == (404, True)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "Hello"}]}),
        ("/v1/completions", {"prompt": "Hello"}),
        ("/v1/messages", {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}),
        ("/v1/responses", {"input": "Hello"}),
    ],
)
async def test_an_error_with_a_path_that_is_no_text_arrives(
    tmp_path: Path, path: str, body: dict[str, Any], stream: bool
) -> None:
    config = tmp_path / os.fsdecode(b"odd\xff")
    (config / "mlx-mcp" / "active_model").mkdir(parents=True)
    environ = private_environ(tmp_path) | {"XDG_CONFIG_HOME": str(config)}
    async with opened(environ, tmp_path) as app, open_door(app) as door:
        reply = await door.http.post(path, json=body | {"stream": stream})
    assert "odd\ufffd" in reply.text, reply.text
