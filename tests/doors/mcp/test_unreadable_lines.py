"""A request that the SDK cannot read is answered all the same; a line that nobody waits for is not."""

import json

import mcp_types
import pytest
from pydantic import ValidationError

from mcp_local_llm.doors.mcp.unreadable_lines import outline, refusal
from tests.wire import Json, Wire, open_wire

PARSE, INVALID = -32700, -32600


def nested(levels: int) -> str:
    """A request of a chat whose schema has so many levels of JSON."""
    schema = '{"a":' * levels + "1" + "}" * levels
    arguments = '{"message":"Hello","response_schema":' + schema + "}"
    call = '{"name":"chat","arguments":' + arguments + "}"
    return '{"jsonrpc":"2.0","id":"deep [{","method":"tools/call","params":' + call + "}"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (nested(600), ("deep [{", PARSE)),
        (nested(20_000), ("deep [{", PARSE)),
        ('{"jsonrpc":"2.0","params":{"a":"\\"}]","b":' + "[" * 300 + "]" * 300 + '},"id":7,"method":"x"}', (7, PARSE)),
        ('{"jsonrpc":"2.0","id":8,"method":5}', (8, INVALID)),
        ('{"jsonrpc":"2.0","id":9,"method":"x","params":5}', (9, INVALID)),
        ('{"id":10,"method":"x"}', (10, INVALID)),
        ('{"jsonrpc":"2.0","method":5}', None),
        ('{"jsonrpc":"2.0","id":true,"method":5}', None),
        ('{"jsonrpc":"2.0","id":11,"result":5}', None),
        ('{"jsonrpc":"2.0","id":12,"result":' + "[" * 300 + "]" * 300 + "}", None),
        ('{"jsonrpc":"2.0","id":13,"method":"x","params":' + "[" * 300, None),
        ("no json", None),
        ('"', None),
        ("[1]", None),
        ("]" * 9, None),
        ("", None),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_by_its_id(line: str, answer: tuple[int | str, int] | None) -> None:
    with pytest.raises(ValidationError) as raised:
        mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    told = refusal(raised.value)
    assert (told and (told.id, told.error.code)) == answer


def test_an_outline_keeps_the_members_of_the_message_alone() -> None:
    message: Json = {"id": 1, "method": "a[b", "params": {"x": [1, {"y": "}"}]}, "more": [[]]}
    assert outline(json.dumps(message)) == {"id": 1, "method": "a[b", "params": None, "more": None}


async def send(wire: Wire, line: str) -> None:
    """Send a line as it is."""
    assert wire.process.stdin is not None
    await wire.process.stdin.send(line.encode() + b"\n")


async def test_a_schema_that_is_nested_too_deeply_gets_an_answer_and_the_session_goes_on(
    environ: dict[str, str], era: str
) -> None:
    async with open_wire(environ, era) as wire:
        await send(wire, nested(600))
        await send(wire, "no json")
        status = await wire.answer(await wire.call("status"))
        assert status["result"]["structuredContent"]["state"] == "unloaded"
        (refused,) = [message for message in wire.messages() if message.get("id") == "deep [{"]
        assert refused["error"]["code"] == PARSE
        assert "200 levels" in refused["error"]["message"]
