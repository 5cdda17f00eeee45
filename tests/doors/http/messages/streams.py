"""Streams of the Messages API: their events, checked as strictly as Claude Code and Anthropic's SDK need them."""

import json
from typing import Any

Json = dict[str, Any]

_DELTAS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("thinking", "signature"),
    "input_json_delta": ("tool_use", "partial_json"),
}


def events(body: str) -> list[Json]:
    """The events of a stream without its pings; each has a name, which is its type."""
    told: list[Json] = []
    for block in body.split("\n\n")[:-1]:
        kind, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert kind == f"event: {event['type']}"
        told += [event] if event != {"type": "ping"} else []
    assert body.endswith("\n\n")
    return told


def message(body: str) -> Json:
    """The message that a stream tells, in the form of an answer in one piece; the events come in their order."""
    start, *middle, delta, stop = events(body)
    assert (start["type"], delta["type"], stop) == ("message_start", "message_delta", {"type": "message_stop"})
    content = list[Json]()
    is_open = False
    for event in middle:
        match event["type"]:
            case "content_block_start":
                assert (is_open, event["index"]) == (False, len(content))
                content.append(dict(event["content_block"]))
                is_open = True
            case "content_block_delta":
                kind, name = _DELTAS[event["delta"]["type"]]
                assert (is_open, event["index"], content[-1]["type"]) == (True, len(content) - 1, kind)
                content[-1][name] = content[-1].get(name, "") + event["delta"][name]
            case kind:
                assert (kind, is_open, event["index"]) == ("content_block_stop", True, len(content) - 1)
                is_open = False
    assert not is_open
    for block in content:
        if block["type"] == "tool_use":
            assert block["input"] == {}
            block["input"] = json.loads(block.pop("partial_json"))
    extension = {"local_llm": delta["local_llm"]} if "local_llm" in delta else {}
    return {**start["message"], "content": content, **delta["delta"], "usage": delta["usage"], **extension}
