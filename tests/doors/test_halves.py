"""Half of a surrogate pair in an answer breaks no door: no text that is sent can hold it."""

import pytest

from mcp_local_llm.doors.cli import show
from mcp_local_llm.doors.cli.chat.answer_writer import PlainAnswer
from mcp_local_llm.doors.mcp.strict_tool import chat_result
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
    result = chat_result(HALF)
    assert result.model_dump_json()
    text, calls = texts(result)
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
