"""Half of a surrogate pair in an answer breaks no door: no text that is sent can hold it."""

import json

import pytest
from mcp_types import CallToolResult

from mcp_local_llm.doors.cli import show
from mcp_local_llm.doors.cli.chat.answer_writer import PlainAnswer
from mcp_local_llm.doors.mcp.strict_tool import chat_result, with_request_id
from mcp_local_llm.values.chat import ChatResult, Timings, ToolCall, Usage
from mcp_local_llm.wire.json_values import encodable
from tests.doors.mcp.answers import texts

HALF = ChatResult(
    text="half \ud83d",
    reasoning="",
    tool_calls=(ToolCall(name="f", arguments={"a": "\ude00"}),),
    finish_reason="tool_calls",
    model="m",
    usage=Usage(),
    timings=Timings(),
)


@pytest.mark.parametrize(("text", "sent"), [("\ud83d", "\ufffd"), ("\ud83d\ude00", "😀"), ("a\0ä\r\n", "a\0ä\r\n")])
def test_halves_are_replaced_and_pairs_are_joined(text: str, sent: str) -> None:
    assert encodable(text) == sent


def test_a_tool_s_result_can_be_sent() -> None:
    sent = with_request_id(chat_result(HALF).model_dump(by_alias=True), "1")
    assert json.dumps(sent, ensure_ascii=False).encode()
    text, calls = texts(CallToolResult.model_validate(sent))
    assert text == "half \ufffd"
    assert "\ufffd" in calls


def test_the_command_line_prints_it(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    answer = PlainAnswer()
    answer.write(HALF.text)
    answer.end()
    for half in ("\ud83d", "\ude00"):
        answer.write(half)
    answer.end()
    show.print_json({"text": HALF.text})
    assert capfdbinary.readouterr().out == 'half \ufffd\n😀\n{\n "text": "half \ufffd"\n}\n'.encode()
