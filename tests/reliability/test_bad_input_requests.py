"""Requests of real clients with one part replaced by something else: each is read, or refused by the part's name."""

import copy
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from hypothesis import strategies as st

from mcp_local_llm.values.errors import LocalLLMError
from mcp_local_llm.wire.anthropic.read_request import read_messages_request
from mcp_local_llm.wire.json_values import mended_json, read_json
from mcp_local_llm.wire.openai.completions import incoming_completion
from mcp_local_llm.wire.openai.errors import ParameterError
from mcp_local_llm.wire.openai.read_request import incoming_request
from mcp_local_llm.wire.responses.read_request import incoming_response
from tests.doors.http.messages.recorded import names, recorded
from tests.doors.http.responses.recorded import REQUESTS
from tests.reliability.drawn import VALUES, as_json, drawn, fault_of_error

Json = dict[str, Any]
WEATHER: Json = {"name": "get_weather", "description": "Tell.", "parameters": {"type": "object", "properties": {}}}
CHAT: Json = {
    "model": "tiny",
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "Hm.",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "Sunny."},
    ],
    "tools": [{"type": "function", "function": WEATHER}],
    "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 5,
    "temperature": 0.5,
    "top_p": 0.5,
    "stop": ["a"],
    "reasoning": {"effort": "low", "max_tokens": 10},
    "chat_template_kwargs": {"enable_thinking": True},
    "thinking_budget": 10,
    "n_predict": 5,
    "logit_bias": {},
    "n": 1,
}
TEXT: Json = {"prompt": ["Hello"], "max_tokens": 5, "stop": "a", "seed": 0, "echo": False, "suffix": ""}
READERS: dict[str, tuple[Callable[[Any], object], list[Json]]] = {
    "chat completions": (incoming_request, [CHAT]),
    "completions": (incoming_completion, [TEXT]),
    "the Messages API": (read_messages_request, [recorded(name)["body"] for name in names()]),
    "the Responses API": (incoming_response, list(REQUESTS.values())),
}
"""API → what reads its bodies, and bodies of real clients."""


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all parts of a body."""
    if isinstance(value, dict):
        inner = list(cast(Json, value).items())
    else:
        inner = list(enumerate(cast(list[Any], value))) if isinstance(value, list) else []
    for key, part in inner:
        yield (*place, key)
        yield from places(part, (*place, key))


def replaced(body: Json, place: tuple[Any, ...], value: Any) -> Json:
    """A body with another part at a place."""
    changed = copy.deepcopy(body)
    inner: Any = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return changed


@pytest.mark.fault(
    "Bad input",
    "requests to {api} of real clients, with one part replaced by something else",
    promised="they are read, or refused with the name of the part, in a sentence",
    tries=1000,
)
@pytest.mark.parametrize("api", READERS)
def test_a_request_with_a_replaced_part_is_read_or_refused(api: str, tries: int) -> None:
    read, bodies = READERS[api]
    found = [list(places(body)) for body in bodies]
    numbers = st.integers(0, 2**30)
    wrong: list[str] = []
    odd: list[tuple[int, int, Any]] = drawn(st.tuples(numbers, numbers, VALUES), tries)
    for which, where, value in odd:
        body, here = bodies[which % len(bodies)], found[which % len(bodies)]
        place = here[where % len(here)]
        try:
            # As the door reads it: Infinity and endless nesting do not come this far.
            changed = read_json(mended_json(as_json(replaced(body, place, value))))
        except ValueError:
            continue
        try:
            read(changed)
        except LocalLLMError as error:
            if fault_of_error(str(error)) or not isinstance(error, ParameterError) or not error.param:
                wrong.append(f"{place} = {value!r:.200}: {error!s:.300}")
        except Exception as error:
            wrong.append(f"{place} = {value!r:.200}: {error!r:.300}")
    assert "\n".join(wrong) == ""
