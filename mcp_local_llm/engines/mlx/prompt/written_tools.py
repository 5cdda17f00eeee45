"""Writes tools into a conversation as text, in hermes form, for a chat template that knows none. Pure."""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from mcp_local_llm.engines.mlx.prompt.text_model import TemplateTraits

Turn = dict[str, Any]
"""One message, as chat templates read it."""

_OFFER = """# Tools

You may call these functions:
<tools>
{tools}
</tools>

To call one, write:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


def with_written_tools(
    turns: Sequence[Turn], tools: Sequence[dict[str, Any]], traits: TemplateTraits
) -> tuple[list[Turn], list[str]]:
    """Write what the template would leave out into the turns' text.

    Args:
        turns: the conversation.
        tools: the tools on offer.
        traits: what the template writes by itself.

    Returns:
        The turns, and what was done, in words.
    """
    written, done = list(turns), list[str]()
    if not traits.calls and any("tool_calls" in turn for turn in turns):
        written = [_with_written_calls(turn) for turn in written]
        done.append("writes no earlier tool calls, so they are written into the text of their turns")
    if not traits.results and any(turn["role"] == "tool" for turn in turns):
        written = _with_written_results(written)
        done.append("knows no tool results, so they are written into user turns")
    if tools and not traits.tools:
        offer = _OFFER.format(tools="\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools))
        system = written[:1] if written and written[0]["role"] == "system" else []
        text = "\n\n".join([*(turn["content"] for turn in system if turn["content"]), offer])
        written = [{"role": "system", "content": text}, *written[len(system) :]]
        done.append("knows no tools, so they are written into the system turn")
    return written, done


def with_written_calls_and_results(turns: Sequence[Turn]) -> list[Turn]:
    """Write the calls of tools and their results as text."""
    return _with_written_results([_with_written_calls(turn) for turn in turns])


def _with_written_calls(turn: Turn) -> Turn:
    if "tool_calls" not in turn:
        return turn
    calls = turn["tool_calls"]
    functions = ({key: call["function"][key] for key in ("name", "arguments")} for call in calls)
    blocks = [f"<tool_call>\n{json.dumps(function, ensure_ascii=False)}\n</tool_call>" for function in functions]
    text = "\n".join([*([turn["content"]] if turn["content"] else []), *blocks])
    return {**{key: value for key, value in turn.items() if key != "tool_calls"}, "content": text}


def _with_written_results(turns: Sequence[Turn]) -> list[Turn]:
    """Write each run of tool turns as one user turn."""
    written: list[Turn] = []
    for is_result, run in groupby(turns, key=lambda turn: turn["role"] == "tool"):
        if is_result:
            blocks = (f"<tool_response>\n{turn['content']}\n</tool_response>" for turn in run)
            written.append({"role": "user", "content": "\n".join(blocks)})
        else:
            written += run
    return written
