"""The events of the Responses API, written: their order, numbers and ids, and what they add up to."""

from typing import Any

import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from mcp_local_llm.values.chat import ChatChunk, ChatResult, FinishReason, Timings, ToolCall, Usage
from mcp_local_llm.values.errors import (
    BackendUnavailableError,
    BusyError,
    ContextLengthError,
    GenerationError,
    InsufficientMemoryError,
    InvalidRequestError,
    LocalLLMError,
    UnknownModelError,
)
from mcp_local_llm.wire.responses.errors import error_response
from mcp_local_llm.wire.responses.read_request import incoming_response
from mcp_local_llm.wire.responses.write_response import ResponseIdentity, ResponseStream
from tests.doors.http.door import Json
from tests.doors.http.responses.test_reading import AGENTS, PATCH, WAIT

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TOOLS = [{"type": "function", "name": "read"}, AGENTS, PATCH]
READ = ToolCall(name="read", arguments={"path": "ä"})


def result(text: str = "", reasoning: str = "", *calls: ToolCall, finish: FinishReason = "stop") -> ChatResult:
    usage = Usage(prompt_tokens=20, cached_tokens=8, completion_tokens=7, reasoning_tokens=3)
    return ChatResult(text, reasoning, calls, finish, "answering", usage, Timings())


def writer(tools: Any = TOOLS) -> ResponseStream:
    return ResponseStream(
        ResponseIdentity("abc", 1), incoming_response({"model": "asked", "input": "x", "tools": tools})
    )


def written(*chunks: ChatChunk) -> list[Json]:
    stream = writer()
    return [*stream.begin(), *(event for chunk in chunks for event in stream.events(chunk))]


def kinds(events: list[Json]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def text(text: str = "", reasoning: str = "") -> ChatChunk:
    return ChatChunk(text=text, reasoning=reasoning, model="answering")


def end(result: ChatResult) -> ChatChunk:
    return ChatChunk(result=result, model="answering")


ANSWERS: dict[str, tuple[list[ChatChunk], list[str]]] = {
    "a text": ([text("Fo"), text("ur."), end(result("Four."))], ["message"]),
    "a text in one piece": ([end(result("Four."))], ["message"]),
    "nothing": ([end(result())], ["message"]),
    "a thought and a text": ([text(reasoning="2"), text("4"), end(result("4.", "2"))], ["reasoning", "message"]),
    "a thought alone": ([text(reasoning="2"), end(result("", "2, so", finish="length"))], ["reasoning", "message"]),
    "a thought and a call": ([end(result("", "2", READ))], ["reasoning", "function_call"]),
    "all of them": (
        [text(reasoning="2"), text("I read."), end(result("I read.", "2", READ, READ))],
        ["reasoning", "message", "function_call", "function_call"],
    ),
    "a thought behind the text": (
        [text("4"), end(result("4.", "I see."))],
        ["message", "reasoning"],
    ),
    "a call of a namespace": ([end(result("", "", ToolCall(name="wait")))], ["function_call"]),
    "a custom call": ([end(result("", "", ToolCall(name="patch", arguments={"input": "x"})))], ["custom_tool_call"]),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_events_add_up_to_the_response_that_a_whole_answer_is(name: str) -> None:
    chunks, items = ANSWERS[name]
    events = written(*chunks)
    last = events[-1]
    assert kinds(events)[:2] == ["created", "in_progress"]
    assert last["type"] == "response.completed"
    assert [item["type"] for item in last["response"]["output"]] == items
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == last["response"]["output"]
    assert len({item["id"] for item in done}) == len(done)
    given = chunks[-1].result
    assert given is not None
    whole = writer().whole(given)
    if name != "a thought behind the text":
        assert whole == last["response"]
    assert joined(whole) == joined(last["response"])


def joined(response: Json) -> list[str]:
    """The texts of each kind of item."""
    return [
        "".join(part["text"] for item in response["output"] if item["type"] == kind for part in item["content"])
        for kind in ("reasoning", "message")
    ]


@pytest.mark.parametrize("name", ANSWERS)
def test_every_event_is_one_of_openais_own(name: str) -> None:
    for event in written(*ANSWERS[name][0]):
        assert EVENT.validate_python(event).type == event["type"]


def test_deltas_stand_between_the_events_of_their_item_and_part() -> None:
    events = written(text(reasoning="2"), text("Fo"), end(result("Four.", "2", READ)))
    part = ["content_part.added", "{}.delta", "{}.done", "content_part.done", "output_item.done"]
    expected = ["created", "in_progress"]
    expected += ["output_item.added", *(kind.format("reasoning_text") for kind in part)]
    expected += ["output_item.added", "content_part.added", "output_text.delta", "output_text.delta"]
    expected += ["output_text.done", "content_part.done", "output_item.done"]
    arguments = "function_call_arguments"
    expected += ["output_item.added", f"{arguments}.delta", f"{arguments}.done", "output_item.done", "completed"]
    assert kinds(events) == expected
    placed = [event["output_index"] for event in events if "output_index" in event]
    assert placed == sorted(placed)
    assert set(placed) == {0, 1, 2}
    assert {event["content_index"] for event in events if "content_index" in event} == {0}


def test_a_thought_is_an_item_of_its_own_text_and_no_summary() -> None:
    (item, _) = written(text(reasoning="2"), end(result("4", "2")))[-1]["response"]["output"]
    assert item["content"] == [{"type": "reasoning_text", "text": "2"}]
    assert (item["summary"], item["encrypted_content"]) == ([], None)


def test_calls_come_back_in_the_clients_own_words() -> None:
    calls = (READ, ToolCall(name="agents__wait"), ToolCall(name="patch", arguments={"input": "*** Begin"}))
    output = written(end(result("", "", *calls)))[-1]["response"]["output"]
    assert [(item["type"], item["name"], item.get("namespace")) for item in output] == [
        ("function_call", "read", None),
        ("function_call", "wait", "agents"),
        ("custom_tool_call", "patch", None),
    ]
    assert [output[0]["arguments"], output[1]["arguments"], output[2]["input"]] == ['{"path": "ä"}', "{}", "*** Begin"]


def test_ids_of_calls_are_unique_within_an_answer() -> None:
    twice = READ.model_copy(update={"id": "call_0"})
    output = written(end(result("", "", twice, twice, READ)))[-1]["response"]["output"]
    ids = [item["call_id"] for item in output]
    assert ids[0] == "call_0"
    assert len(set(ids)) == 3


def test_a_cut_answer_is_complete_for_the_client_and_its_end_is_told_beside_it() -> None:
    response = written(end(result("One, two", finish="length")))[-1]["response"]
    assert response["status"] == "completed"
    assert response["incomplete_details"] is None
    assert response["local_llm"]["finish_reason"] == "length"


def test_usage_has_its_total_and_its_details() -> None:
    assert written(end(result("4")))[-1]["response"]["usage"] == {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 27,
    }


def test_a_response_repeats_its_request_and_names_the_model_that_answers() -> None:
    events = written(end(result("4")))
    assert events[0]["response"]["model"] == "asked"
    response = events[-1]["response"]
    assert (response["model"], response["tools"], response["tool_choice"]) == ("answering", TOOLS, "auto")
    assert (response["store"], response["previous_response_id"]) == (False, None)


FAILURES: list[tuple[LocalLLMError, str, int]] = [
    (ContextLengthError("Too long."), "context_length_exceeded", 400),
    (BusyError("Full."), "rate_limit_exceeded", 503),
    (BackendUnavailableError("Away."), "server_error", 503),
    (InvalidRequestError("Wrong."), "invalid_prompt", 400),
    (UnknownModelError("None."), "invalid_prompt", 404),
    (InsufficientMemoryError("Large."), "invalid_prompt", 400),
    (GenerationError("Broken."), "server_error", 500),
]


@pytest.mark.parametrize(("error", "code", "status"), FAILURES, ids=lambda value: type(value).__name__)
def test_a_failure_has_the_status_or_the_code_that_codex_understands(
    error: LocalLLMError, code: str, status: int
) -> None:
    stream = writer()
    stream.begin()
    event = stream.failure(error, str(error))
    assert (event["type"], event["response"]["status"]) == ("response.failed", "failed")
    assert event["response"]["error"]["code"] == code
    assert event["response"]["error"]["message"].startswith(str(error))
    response = error_response(error, str(error))
    assert response.status == status
    assert response.body["error"]["message"] == str(error)
    assert ("retry-after" in response.headers) == (status == 503)


def test_what_was_complete_before_a_failure_stays_in_it() -> None:
    stream = writer([WAIT])
    for chunk in (text(reasoning="2"), text("4")):
        stream.events(chunk)
    output = stream.failure(GenerationError("Broken."), "Broken.")["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning"]
