"""Every recorded request of Claude Code and opencode, sent to the door as it was sent to Anthropic."""

from collections.abc import AsyncGenerator

import pytest

from tests.apps import opened
from tests.behaviour.reciting_model import Script, cut, write_reciting_model
from tests.clients import private_environ
from tests.doors.http.conftest import open_door
from tests.doors.http.door import Door
from tests.doors.http.messages.recorded import Json, names, recorded
from tests.doors.http.messages.streams import message

ANSWER = Script(cut("It was answered."))
COUNTED = "cc_count_tokens"
NO_TEXT = "[The model ended its answer without any text.]"


@pytest.fixture(scope="module")
async def reciting(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Door]:
    """A door before a model with a long window, that answers any model name."""
    home = tmp_path_factory.mktemp("home")
    write_reciting_model(home / "models" / "reciting", {"Answer me.": ANSWER})
    environ = {**private_environ(home), "MCP_LOCAL_LLM_FOLDERS": str(home / "models")}
    async with opened(environ, home) as app, open_door(app, any_model=True) as door:
        yield door


def spoken_to(body: Json) -> Json:
    """The request with a last message that the model has an answer for."""
    return {**body, "messages": [*body["messages"], {"role": "user", "content": "Answer me."}]}


@pytest.mark.parametrize("name", [name for name in names() if not name.startswith(COUNTED)])
async def test_a_recorded_request_is_answered_and_counted(reciting: Door, name: str) -> None:
    request = recorded(name)
    schema = "format" in request["body"].get("output_config", {})
    as_it_is = await sent(reciting, request, {**request["body"], "max_tokens": 20} if schema else request["body"])
    counted = await reciting.http.post(
        "/v1/messages/count_tokens?beta=true", json=request["body"], headers=request["headers"]
    )
    usage = as_it_is["usage"]
    assert counted.json() == {"input_tokens": usage["input_tokens"] + usage["cache_read_input_tokens"]}
    if not schema:
        # The model has no words for what was recorded, and an empty answer would be asked for again.
        assert [block["text"] for block in as_it_is["content"]] == [NO_TEXT]
        answer = await sent(reciting, request, spoken_to(request["body"]))
        assert [block["text"] for block in answer["content"]] == ["It was answered."]
        assert answer["usage"]["cache_read_input_tokens"] > 0


async def sent(door: Door, request: Json, body: Json) -> Json:
    reply = await door.http.post(request["path"], json=body, headers=request["headers"])
    assert reply.status_code == 200, reply.text
    return message(reply.text) if body["stream"] else reply.json()


@pytest.mark.parametrize("name", [name for name in names() if name.startswith(COUNTED)])
async def test_a_recorded_count_is_answered(reciting: Door, name: str) -> None:
    request = recorded(name)
    reply = await reciting.http.post(request["path"], json=request["body"], headers=request["headers"])
    assert reply.json()["input_tokens"] > 0
