"""The calls of a soak over HTTP: questions through three APIs, whole and streamed, and clients that give up."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from tests.reliability.soak_calls import (
    CALLED,
    ENDLESS,
    LONG,
    SHORT,
    TINIES,
    TOOLS,
    Caller,
    Ending,
    only,
    require,
    whole,
)
from training.dialogues import Dialogue

Json = dict[str, Any]

EVENTS: Mapping[str, Callable[[Json], str]] = {
    "openai": lambda event: "".join(choice["delta"].get("content") or "" for choice in event["choices"]),
    "messages": lambda event: event.get("delta", {}).get("text", ""),
    "responses": lambda event: event["delta"] if event["type"] == "response.output_text.delta" else "",
}
"""What an event of a stream adds to the answer, by the API."""


def body(api: str, dialogue: Dialogue, model: str, *, stream: bool) -> tuple[str, Json]:
    """Path and body of a question, by the API."""
    turns = list(dialogue.messages)
    common: Json = {"model": model, "temperature": 0, "stream": stream}
    match api:
        case "openai":
            asked = {**common, "messages": turns, "reasoning_effort": "none"}
            return "/v1/chat/completions", asked | ({"tools": list(dialogue.tools)} if dialogue.tools else {})
        case "messages":
            asked = {**common, "messages": turns[-1:], "max_tokens": 1000}
            return "/v1/messages", asked | ({"system": turns[0]["content"]} if len(turns) > 1 else {})
        case _:
            return "/v1/responses", {**common, "input": turns, "reasoning": {"effort": "none"}}


def answer_of(api: str, reply: httpx.Response, *, stream: bool) -> tuple[str, str]:
    """The model and the text of an answer, whole or put together."""
    if stream:
        lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: ")]
        events = [json.loads(line) for line in lines if line != "[DONE]"]
        ends = {"openai": "[DONE]", "messages": '"message_stop"', "responses": '"response.completed"'}
        require(ends[api] in lines[-1], lines[-3:])
        names = {found for event in events for found in re.findall(r'"model": "([^"]*)"', json.dumps(event))}
        require(not any("error" in event and event["error"] for event in events), events[-3:])
        return max(names, key=len), "".join(EVENTS[api](event) for event in events)
    told = reply.json()
    match api:
        case "openai":
            return told["model"], told["choices"][0]["message"]["content"] or ""
        case "messages":
            return told["model"], "".join(part.get("text", "") for part in told["content"])
        case _:
            parts = [part for item in told["output"] if item["type"] == "message" for part in item["content"]]
            return told["model"], "".join(part["text"] for part in parts)


def over_http(api: str, *, stream: bool) -> "HttpKind":
    """A question over one of the APIs, whole or as a stream."""

    async def ask(http: httpx.AsyncClient, caller: Caller) -> Ending:
        dialogue = caller.random.choice(SHORT)
        # A request over HTTP names its model; an empty name is the chosen one.
        model = caller.model()
        path, asked = body(api, dialogue, model, stream=stream)
        reply = await http.post(path, json=asked)
        require(reply.status_code == 200, reply.text)
        by, text = answer_of(api, reply, stream=stream)
        require(text == dialogue.answer and by in ([model] if model else TINIES), (asked, reply.text))
        return "answered"

    return ask


async def http_tools(http: httpx.AsyncClient, caller: Caller) -> Ending:
    dialogue = caller.random.choice(TOOLS)
    path, asked = body("openai", dialogue, caller.model(), stream=False)
    told: Json = (await http.post(path, json=asked)).json()["choices"][0]["message"]
    expected = [json.loads(text) for text in CALLED.findall(dialogue.answer)]
    made: list[Json] = told.get("tool_calls") or []
    calls: list[Json] = [call["function"] for call in made]
    got = [{"name": call["name"], "arguments": json.loads(call["arguments"])} for call in calls]
    require(got == expected and (bool(expected) or told["content"] == dialogue.answer), (asked, told))
    return "answered"


async def http_schema(http: httpx.AsyncClient, caller: Caller) -> Ending:
    word = caller.word()
    form = {"type": "json_schema", "json_schema": {"name": "only", "schema": only(word)}}
    turns = [{"role": "user", "content": "Answer."}]
    asked = {"model": "", "messages": turns, "reasoning_effort": "none", "response_format": form}
    told = (await http.post("/v1/chat/completions", json=asked)).json()
    require(told["choices"][0]["message"]["content"] == whole(word), told)
    return "answered"


async def raw_prompt(http: httpx.AsyncClient, caller: Caller) -> Ending:
    asked = {"model": "", "prompt": "<|im_start|>user\nHello<|im_end|>\n", "max_tokens": 4, "temperature": 0}
    told = (await http.post("/v1/completions", json=asked)).json()
    require(told["usage"]["completion_tokens"] <= 4 and told["object"] == "text_completion", told)
    return "answered"


async def count(http: httpx.AsyncClient, caller: Caller) -> Ending:
    asked = {"model": caller.model(), "messages": [{"role": "user", "content": "Hello"}]}
    told = await http.post("/v1/messages/count_tokens", json=asked)
    require(told.json() == {"input_tokens": 19}, told.text)
    return "answered"


async def http_reports(http: httpx.AsyncClient, caller: Caller) -> Ending:
    path = caller.random.choice(("/v1/models", "/health", "/metrics"))
    reply = await http.get(path)
    require(reply.status_code == 200 and bool(reply.text), reply.text)
    return "answered"


X = [{"role": "user", "content": "x"}]
REFUSALS: tuple[tuple[str, Json, int], ...] = (
    ("/v1/chat/completions", {"model": "no-such-model", "messages": X}, 404),
    ("/v1/chat/completions", {"model": "", "messages": []}, 400),
    ("/v1/messages", {"model": "", "messages": X, "temperature": 77}, 400),
    ("/v1/no-such-route", {}, 404),
)


async def http_refused(http: httpx.AsyncClient, caller: Caller) -> Ending:
    path, asked, code = caller.random.choice(REFUSALS)
    reply = await http.post(path, json=asked)
    require(reply.status_code == code and "error" in reply.json(), (asked, reply.text))
    return "refused"


async def http_timeout(http: httpx.AsyncClient, caller: Caller) -> Ending:
    """A client whose time is up cuts the connection, in the middle of a stream or before the first byte."""
    dialogue = Dialogue("endless", ({"role": "user", "content": caller.random.choice((ENDLESS, LONG))},), "")
    path, asked = body(caller.random.choice([*EVENTS]), dialogue, caller.model(), stream=caller.random.random() < 0.5)
    limit = caller.random.uniform(0.02, 2)
    try:
        async with http.stream("POST", path, json=asked, timeout=limit) as reply:
            require(reply.status_code == 200, reply.status_code)
            pieces = caller.random.randint(0, 40)
            async for _ in reply.aiter_raw():
                pieces -= 1
                if pieces < 0:
                    return "cancelled"
    except httpx.TimeoutException:
        return "cancelled"
    return "answered"


HttpKind = Callable[[httpx.AsyncClient, Caller], Awaitable[Ending]]


HTTP: Mapping[str, tuple[float, HttpKind]] = {
    **{
        f"HTTP: {name}, {'streamed' if stream else 'whole'}": (8, over_http(api, stream=stream))
        for api, name in (("openai", "chat completions"), ("messages", "messages"), ("responses", "responses"))
        for stream in (False, True)
    },
    "HTTP: tools": (4, http_tools),
    "HTTP: an answer by a schema": (4, http_schema),
    "HTTP: a raw prompt": (4, raw_prompt),
    "HTTP: tokens counted": (4, count),
    "HTTP: models, health, metrics": (5, http_reports),
    "HTTP: a request that must be refused": (4, http_refused),
    "HTTP: a client whose time is up": (10, http_timeout),
}
