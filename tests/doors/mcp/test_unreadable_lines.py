"""Every request on stdin gets an answer, also one that the SDK drops or takes for something else."""

import io
import json
from typing import Any

import pytest

from mcp_local_llm.doors.mcp.unreadable_lines import MAX_LINE, members, read_line, read_message
from tests.wire import LEGACY, Json, Wire, open_wire

PARSE, INVALID = -32700, -32600


def nested(levels: int, ident: str = '"deep [{"') -> str:
    """A request of a chat whose schema has so many levels of JSON."""
    schema = '{"a":' * levels + "1" + "}" * levels
    arguments = '{"message":"Hello","response_schema":' + schema + "}"
    call = '{"name":"chat","arguments":' + arguments + "}"
    return '{"jsonrpc":"2.0","id":' + ident + ',"method":"tools/call","params":' + call + "}"


def call(ident: str, argument: str = "1") -> str:
    """A tool call with this id and one argument, both as they stand on the wire."""
    arguments = f'{{"a":{argument}}}'
    return (
        f'{{"jsonrpc":"2.0","id":{ident},"method":"tools/call","params":{{"name":"status","arguments":{arguments}}}}}'
    )


UNREADABLE: list[tuple[str, list[tuple[Any, int]]]] = [
    (nested(600), [("deep [{", PARSE)]),
    (nested(20_000), [("deep [{", PARSE)]),
    ('{"jsonrpc":"2.0","params":{"a":"\\"}]","b":' + "[" * 300 + "]" * 300 + '},"id":7,"method":"x"}', [(7, PARSE)]),
    # Of a long line both ends are searched: the id may stand behind the rest.
    ('{"method":"x","params":{"a":' + "[" * 300_000 + '},"jsonrpc":"2.0","id":12}', [(12, PARSE)]),
    ('{"jsonrpc":"2.0","id":12,"method":"x","params":{"a":"' + '\\"' * 300_000, [(12, PARSE)]),
    (call("5", "9" * 5000), [(5, PARSE)]),
    (call("9" * 5000), [(None, PARSE)]),
    (call("6", "NaN"), [(6, PARSE)]),
    (call("7", "-Infinity"), [(7, PARSE)]),
    (call("8", "01"), [(8, PARSE)]),
    (call("9", "'single'"), [(9, PARSE)]),
    (call("10", '"\\q"'), [(10, PARSE)]),
    (call("11", '"tab\t"'), [(11, PARSE)]),
    (call('"a"')[:-2], [("a", PARSE)]),
    ('{"jsonrpc":"2.0","id":13,"method":"x","params":' + "[" * 300, [(13, PARSE)]),
    (call("15", "[" + "{}," * 200_000 + "{}]"), [(15, PARSE)]),
    ("no json", [(None, PARSE)]),
    ('"', [(None, PARSE)]),
    ('"' * 1001, [(None, PARSE)]),
    ('"' + '\\"' * 100_000, [(None, PARSE)]),
    ("]" * 9, [(None, PARSE)]),
    ("Content-Length: 80", [(None, PARSE)]),
    (call("1.5"), [(1.5, INVALID)]),
    (call("null"), [(None, INVALID)]),
    (call("true"), [(None, INVALID)]),
    (call("[1]"), [(None, INVALID)]),
    (call("{}"), [(None, INVALID)]),
    ('{"jsonrpc":"2.0","id":8,"method":5}', [(8, INVALID)]),
    ('{"jsonrpc":"2.0","id":9,"method":"x","params":5}', [(9, INVALID)]),
    ('{"jsonrpc":"2.0","id":9,"method":"x","params":[1]}', [(9, INVALID)]),
    ('{"jsonrpc":"1.0","id":9,"method":"x"}', [(9, INVALID)]),
    ('{"id":10,"method":"x"}', [(10, INVALID)]),
    ('{"jsonrpc":"2.0","id":14}', [(14, INVALID)]),
    ('{"jsonrpc":"2.0","method":5}', [(None, INVALID)]),
    ("{}", [(None, INVALID)]),
    ("5", [(None, INVALID)]),
    ("null", [(None, INVALID)]),
    ("[]", [(None, INVALID)]),
    ("[1]", [(None, INVALID)]),
    (f'[{call("1")},{call("2.5")},{{"jsonrpc":"2.0","method":"notifications/x"}}]', [(1, INVALID), (2.5, INVALID)]),
]


@pytest.mark.parametrize(("line", "answers"), UNREADABLE, ids=range(len(UNREADABLE)))
def test_a_request_that_cannot_be_read_is_refused_by_its_id(line: str, answers: list[tuple[Any, int]]) -> None:
    told = read_message(f"{line}\n")
    assert not isinstance(told, str)
    assert [(refusal.id, refusal.error.code) for refusal in told] == answers
    assert all(len(refusal.error.message) < 200 for refusal in told)


@pytest.mark.parametrize(
    "line",
    ["", "  \t", "\ufeff", "\r", '{"jsonrpc":"2.0","id":12,"result":' + "[" * 300 + "]" * 300 + "}"],
    ids=["empty", "blank", "mark", "return", "answer"],
)
def test_a_line_that_nobody_waits_for_gets_no_answer(line: str) -> None:
    assert read_message(f"{line}\n") == []


@pytest.mark.parametrize(
    ("line", "same"),
    [
        (call("1", '"half \\ud83d emoji"'), call("1", '"half \ufffd emoji"')),
        (call("1", '"\\uDE00\\ud83d"'), call("1", '"\ufffd\ufffd"')),
        (call("1", '"\\ud83d\\ud83d\\ude00"'), call("1", '"\ufffd😀"')),
        (call("1", '"\\\\ud83d"'), call("1", '"\\\\ud83d"')),
        (call('"\\udc00"'), call('"\ufffd"')),
        ("\ufeff" + call("1"), call("1")),
        (call("1") + "\r", call("1")),
        (call("1", '1,"a":2'), call("1", "2")),
        ('{"jsonrpc":"2.0","id":null,"method":"notifications/initialized"}',) * 2,
        ('{"jsonrpc":"2.0","id":11,"result":{}}',) * 2,
        ('{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}',) * 2,
    ],
)
def test_a_message_with_small_faults_is_read(line: str, same: str) -> None:
    read = read_message(f"{line}\n")
    assert isinstance(read, str)
    assert json.loads(read) == json.loads(same)


def test_the_members_of_the_message_alone_are_found() -> None:
    message: Json = {"method": "a[b", "params": {"id": 3, "x": [1, {"id": "}"}]}, "more": ["id", []], "id": 1}
    assert members(json.dumps(message)) == {"id": 1, "method": "a[b"}


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_line_that_is_too_long_is_refused_by_its_id_and_the_next_one_is_read(end: str) -> None:
    lines = io.StringIO(call("7", '"' + "x" * 2 * MAX_LINE + '"') + "\n" + call("8") + end)
    refused = read_message(read_line(lines))
    assert not isinstance(refused, str)
    assert [(refusal.id, refusal.error.code) for refusal in refused] == [(7, INVALID)]
    assert read_message(read_line(lines)) == call("8") + end


async def send(wire: Wire, line: str | bytes) -> None:
    """Send a line as it is."""
    assert wire.process.stdin is not None
    await wire.process.stdin.send((line if isinstance(line, bytes) else line.encode()) + b"\n")


async def test_a_session_goes_on_behind_lines_that_cannot_be_read(environ: dict[str, str], era: str) -> None:
    async with open_wire(environ, era) as wire:
        lines = [nested(600), "no json", call('"big"', "9" * 5000), call("1.5"), "[" + call('"batched"') + "]", ""]
        for line in lines:
            await send(wire, line)
        status = await wire.answer(await wire.call("status"))
        assert status["result"]["structuredContent"]["state"] == "unloaded"
        refused = {message["id"]: message["error"]["code"] for message in wire.messages() if "error" in message}
        assert refused == {"deep [{": PARSE, None: PARSE, "big": PARSE, 1.5: INVALID, "batched": INVALID}


async def test_half_an_emoji_and_bytes_that_are_no_text_are_answered(environ: dict[str, str]) -> None:
    async with open_wire(environ, "legacy") as wire:
        arguments = '{"message":"Hello \\ud83d","thinking":false}'
        await send(
            wire,
            f'{{"jsonrpc":"2.0","id":90,"method":"tools/call","params":{{"name":"chat","arguments":{arguments}}}}}',
        )
        text = await wire.text(90)
        assert text
        await send(wire, b'{"jsonrpc":"2.0","id":91,"method":"tools/call","params":{"name":"st\xff","arguments":{}}}')
        assert "There is no tool" in (await wire.answer(91))["error"]["message"]


async def test_a_call_before_the_handshake_is_refused_and_the_handshake_still_works(environ: dict[str, str]) -> None:
    hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    async with open_wire(environ, "none") as wire:
        await send(wire, call("70"))
        refused = (await wire.answer(70))["error"]
        assert refused["code"] == INVALID
        assert "initialize" in refused["message"]
        await send(wire, json.dumps({"jsonrpc": "2.0", "id": 71, "method": "initialize", "params": hello}))
        assert (await wire.answer(71))["result"]["serverInfo"]["name"] == "local-llm"
