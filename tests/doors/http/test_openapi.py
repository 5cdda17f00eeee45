"""The description at `/openapi.json`: it names every route, and says of requests, answers and errors what is so."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator, ValidationError, validate
from starlette.applications import Starlette
from starlette.routing import Route

from mcp_local_llm.app import App
from mcp_local_llm.doors.http import access_rules, build_api
from mcp_local_llm.doors.http.openapi import description
from mcp_local_llm.wire.anthropic.read_request import read_messages_request
from mcp_local_llm.wire.openai.completions import incoming_completion
from mcp_local_llm.wire.openai.errors import ParameterError
from mcp_local_llm.wire.openai.read_request import ALIASES, incoming_request
from mcp_local_llm.wire.openai.thinking_switches import BUDGETS
from mcp_local_llm.wire.responses.read_request import incoming_response
from tests.doors.http.conftest import open_door
from tests.doors.http.door import LEGS, Door, Json, question
from tests.doors.http.messages.recorded import names, recorded
from tests.doors.http.responses.recorded import REQUESTS

KEY = "a-long-random-text"
WEATHER: Json = {"name": "get_weather", "description": "Get the current weather for a city."}
PLACE: Json = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PARIS = "What is the weather in Paris?"
CHAT, TEXT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"


def body_schema(path: str) -> Json:
    return description()["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]


def closed(value: Any) -> Any:
    """A schema by which an object has no members that are not described."""
    if isinstance(value, list):
        return [closed(inner) for inner in cast(list[Any], value)]
    if not isinstance(value, dict):
        return value
    fields = {name: closed(inner) for name, inner in cast(Json, value).items()}
    return {**fields, "additionalProperties": False} if isinstance(fields.get("properties"), dict) else fields


def fault(schema: Json, value: Any, components: Json | None = None) -> str:
    """What is wrong with a value, if anything, by a schema that refers to the description's components."""
    whole = {**schema, "components": components or description()["components"]}
    try:
        validate(value, whole, cls=Draft202012Validator)
    except ValidationError as error:
        return f"{error.json_path}: {error.message}"
    return ""


async def test_every_route_is_described_with_its_method(shared_app: App) -> None:
    api = build_api(shared_app.llm, cast(Any, None))
    assert isinstance(api, Starlette)
    routes = [route for route in api.routes if isinstance(route, Route)]
    assert len(routes) == len(api.routes)
    served = {(route.path.replace(":path", ""), *sorted((route.methods or set()) - {"HEAD"})) for route in routes}
    described = {(path, *map(str.upper, methods)) for path, methods in description()["paths"].items()}
    assert described == served


def test_every_schema_is_one_and_every_reference_leads_to_one() -> None:
    schemas = description()["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    assert set(references(description())) == {f"#/components/schemas/{name}" for name in schemas}


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in cast(Json, value).items():
            yield from [inner] if name == "$ref" else references(inner)
    elif isinstance(value, list):
        for inner in cast(list[Any], value):
            yield from references(inner)


def recorded_requests() -> Iterator[tuple[str, Json]]:
    """Path and body of each request that a real client sent."""
    for name in names():
        yield recorded(name)["path"].partition("?")[0], recorded(name)["body"]
    for body in REQUESTS.values():
        yield RESPONSES, body
    for path in (Path(__file__).parent / "requests").glob("*.json"):
        yield CHAT, json.loads(path.read_text(encoding="utf-8"))["body"]


def test_the_requests_of_real_clients_are_as_described() -> None:
    wrong = [error for path, body in recorded_requests() if (error := fault(body_schema(path), body))]
    assert wrong == []


READERS: dict[str, tuple[Callable[[Any], object], Json]] = {
    CHAT: (incoming_request, {"messages": [{"role": "user", "content": "Hello"}]}),
    TEXT: (incoming_completion, {"prompt": "Hello"}),
    MESSAGES: (read_messages_request, {"messages": [{"role": "user", "content": "Hello"}]}),
    RESPONSES: (incoming_response, {"input": "Hello"}),
}
"""Path → what reads its body, and a body."""
LOWERED = {*ALIASES, *BUDGETS}
"""Other servers' names of limits, which are lowered as well."""


def described_fields(path: str) -> Iterator[tuple[str, Json]]:
    (name,) = references(body_schema(path))
    yield from description()["components"]["schemas"][name.rpartition("/")[2]]["properties"].items()


def named(path: str, name: str) -> str:
    """The field that an error names: Responses has another name for one of chat completions."""
    return "max_output_tokens" if path == RESPONSES and name == "max_completion_tokens" else name


@pytest.mark.parametrize("path", READERS)
def test_a_field_is_refused_by_name_where_it_is_not_as_described(path: str) -> None:
    read, body = READERS[path]
    read(body)
    for name, schema in described_fields(path):
        for value in ("wrong!", 5, 0.5, True, ["wrong!", 1], {"wrong!": 1}, -7.5):
            if fault(schema, value):
                with pytest.raises(ParameterError) as caught:
                    read({**body, name: value})
                assert caught.value.param.startswith(named(path, name)), (name, value, str(caught.value))


@pytest.mark.parametrize("path", READERS)
def test_the_described_range_of_a_number_is_the_one_that_is_read(path: str) -> None:
    read, body = READERS[path]
    with_range = 0
    for name, schema in described_fields(path):
        form: Json = next((form for form in schema.get("anyOf", ()) if "maximum" in form), Json())
        step = 1 if form.get("type") == "integer" else 0.01
        for bound, beyond in (("minimum", -step), ("maximum", step)):
            if bound in form:
                with_range += 1
                read({**body, name: form[bound]})
            # A limit that is too high is lowered, and some numbers below a range stand for nothing.
            if bound in form and not ("tokens" in name and bound == "maximum") and name not in LOWERED:
                outside = form[bound] + beyond if form[bound] + beyond not in (0, -1) else -1000
                with pytest.raises(ParameterError) as caught:
                    read({**body, name: outside})
                assert caught.value.param == named(path, name)
    assert with_range > 4


def chat(**fields: Any) -> Json:
    return question(PARIS, tools=[{"type": "function", "function": {**WEATHER, "parameters": PLACE}}], **fields)


MESSAGE: Json = {"max_tokens": 300, "messages": [{"role": "user", "content": LEGS}]}
ANSWERED: list[tuple[str, str, Json | None]] = [
    (CHAT, "", question(LEGS)),
    (CHAT, "", chat()),
    (TEXT, "", {"prompt": "Hello", "max_tokens": 4}),
    (MESSAGES, "", {**MESSAGE, "thinking": {"type": "enabled", "budget_tokens": 200}}),
    (
        MESSAGES,
        "",
        {
            **MESSAGE,
            "messages": [{"role": "user", "content": PARIS}],
            "tools": [{**WEATHER, "input_schema": PLACE}],
        },
    ),
    (MESSAGES, "/count_tokens", MESSAGE),
    (RESPONSES, "", {"input": LEGS}),
    (RESPONSES, "", {"input": PARIS, "tools": [{"type": "function", **WEATHER, "parameters": PLACE}]}),
    (RESPONSES, "/input_tokens", {"input": LEGS}),
    ("/v1/models", "", None),
    ("/health", "", None),
]


@pytest.mark.parametrize(("path", "below", "body"), ANSWERED)
async def test_an_answer_has_the_members_that_are_described_and_no_others(
    door: Door, path: str, below: str, body: Json | None
) -> None:
    method = "GET" if body is None else "POST"
    reply = await door.http.request(method, path + below, json=body)
    described = description()["paths"][path + below][method.lower()]["responses"]["200"]
    assert reply.status_code == 200, reply.text
    schema = described["content"]["application/json"]["schema"]
    assert not fault(schema, reply.json(), closed(description()["components"]))
    if "tools" in (body or {}):
        assert "get_weather" in reply.text


async def test_one_model_of_the_list_is_described_as_well(door: Door) -> None:
    reply = await door.http.get("/v1/models/tiny")
    assert fault(closed(description()["components"]["schemas"]["ModelObject"]), reply.json()) == ""


BODIES: list[Any] = [{}, [], {"model": "gone", "input": 1}]
WRONG = [(path, body) for path in READERS for body in BODIES]


@pytest.mark.parametrize(
    ("path", "body"), [*WRONG, (f"{MESSAGES}/count_tokens", {}), (f"{RESPONSES}/input_tokens", {})]
)
async def test_an_error_has_the_envelope_that_is_described(door: Door, path: str, body: object) -> None:
    reply = await door.http.post(path, json=body)
    content = description()["paths"][path]["post"]["responses"][str(reply.status_code)]["content"]
    assert not fault(content["application/json"]["schema"], reply.json(), closed(description()["components"]))


async def test_the_door_publishes_it_to_those_who_may_use_the_door(door: Door, shared_app: App) -> None:
    reply = await door.http.get("/openapi.json")
    assert reply.headers["content-type"] == "application/json"
    assert reply.json() == json.loads(json.dumps(description()))
    refused = await door.http.get("/openapi.json", headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403
    async with open_door(shared_app, access_rules("127.0.0.1", KEY)) as locked:
        assert (await locked.http.get("/openapi.json")).status_code == 401
        assert (await locked.http.get("/openapi.json", headers={"x-api-key": KEY})).json() == reply.json()
