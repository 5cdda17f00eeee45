"""The calls of an answer that had to be one."""

import pytest

from mcp_local_llm.parsing.required_calls import read_required_calls
from mcp_local_llm.values.chat import ToolCall

OSLO = '{"name": "look", "arguments": {"city": "Oslo"}}'
ROME = '{"name": "look", "arguments": {"city": "Rome }</tool_call>"}}'
LOOK_AT_OSLO = ToolCall(name="look", arguments={"city": "Oslo"})
LOOK_AT_ROME = ToolCall(name="look", arguments={"city": "Rome }</tool_call>"})


def tagged(*calls: str) -> str:
    return "\n".join(f"<tool_call>\n{call}\n</tool_call>" for call in calls)


@pytest.mark.parametrize(
    ("text", "calls", "rest"),
    [
        (tagged(OSLO), (LOOK_AT_OSLO,), ""),
        (tagged(ROME, OSLO), (LOOK_AT_ROME, LOOK_AT_OSLO), ""),
        (tagged(OSLO, ROME, OSLO), (LOOK_AT_OSLO, LOOK_AT_ROME), ""),
        (tagged(OSLO) + "\n<tool_call>\n" + ROME[:20], (LOOK_AT_OSLO,), ROME[:20]),
        ("<tool_call>\n" + OSLO, (LOOK_AT_OSLO,), ""),
        (tagged('{"name": "f", "arguments": {"n": 1796325471029384705}}'),
         (ToolCall(name="f", arguments={"n": 1796325471029384705}),), ""),
        ("<tool_call>\n", (), ""),
        ("", (), ""),
    ],
)  # fmt: skip
def test_calls_are_read_whole_and_once_and_a_cut_one_stays_text(
    text: str, calls: tuple[ToolCall, ...], rest: str
) -> None:
    assert read_required_calls(text) == (calls, rest)
