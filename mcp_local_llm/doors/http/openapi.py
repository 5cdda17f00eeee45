"""The description of the routes that the door publishes at `/openapi.json` (OpenAPI 3.1). Pure.

Requests are described by the models that read them, errors by the functions that write them, so that the description
says what the door does. It holds nothing of this machine or its models.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from mcp_local_llm import __version__
from mcp_local_llm.doors.http.access import OPEN_PATHS
from mcp_local_llm.doors.http.error_responses import error_format
from mcp_local_llm.doors.http.in_flight import CLIENT_HEADER, MAX_CLIENT
from mcp_local_llm.doors.http.operations import OPERATIONS, Model, Operation
from mcp_local_llm.wire.openai.completions import CompletionRequest
from mcp_local_llm.wire.openai.errors import CODES
from mcp_local_llm.wire.openai.read_request import ALIASES
from mcp_local_llm.wire.openai.request_schema import ChatCompletionRequest
from mcp_local_llm.wire.openai.thinking_switches import BUDGETS, SWITCH_SCHEMA, SWITCHES
from mcp_local_llm.wire.responses.request_schema import ResponsesRequest

Json = dict[str, Any]

_ABOUT = """One local model behind the APIs of OpenAI and Anthropic.

Where a key is set, it is sent as `Authorization: Bearer KEY` or as `x-api-key`; without one the server takes requests
of this machine alone. Requests of foreign web pages (`Origin`) and for foreign host names (`Host`) are refused.

A field that holds nothing (`null`, an empty text, list or object, a number that cannot be meant, such as `max_tokens`
0) counts as left out. Unknown fields are ignored, and a limit of tokens that is too high is lowered: warnings in
`local_llm.warnings` of the answer say so. What earlier turns of a conversation hold and is not known here is kept as
text. Every error has the envelope of its API, with a message that says what happened and what to do.
"""
_REASONS: Mapping[int, str] = {
    400: "The request is wrong; the message names the field.",
    401: "The key is missing or wrong.",
    403: "The request comes from a foreign web page, or names a host that this server is not called.",
    404: "There is no such model.",
    408: "The rest of the request did not come.",
    409: "Files of the model are missing.",
    413: "The body is too long.",
    429: "The queue is full.",
    500: "The model could not be loaded, or failed in the middle of an answer.",
    502: "The server that answers for the model does not keep to the protocol.",
    503: "Too many connections, or the process that answers has ended.",
    507: "The model does not fit into the memory.",
    529: "The queue is full.",
}
_ANY_REQUEST = (403, 500, 503)
_WITH_BODY = (400, 408, 413)
_EVENT: Json = {
    "description": "One event of the stream.",
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["data"],
}
_SCHEMAS = "#/components/schemas/"


class _Untitled(GenerateJsonSchema):
    """Writes no titles that only repeat the name of a field."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@cache
def description() -> Json:
    """Return the description of all routes."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "mcp-local-llm", "version": __version__, "description": _ABOUT},
        "security": [{"bearer": []}, {"x_api_key": []}, {}],
        "paths": {path: _path(path, operation) for path, operation in OPERATIONS.items()},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "x_api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def _path(path: str, operation: Operation) -> Json:
    """Describe a route."""
    described: Json = {"operationId": path.strip("/").translate(_ID), "summary": operation.summary}
    if path in OPEN_PATHS:
        described["security"] = []
    if told := " ".join(_told(operation)):
        described["description"] = told
    if parameters := list(_parameters(path, operation)):
        described["parameters"] = parameters
    if operation.body:
        content = {"application/json": {"schema": _reference(operation.body)}}
        described["requestBody"] = {"required": True, "content": content}
    errors = {str(status): _error(path, status) for status in sorted(_statuses(path, operation))}
    return {"post" if operation.body else "get": {**described, "responses": {"200": _answer(operation), **errors}}}


_ID = str.maketrans("/", "_", "{}")


def _told(operation: Operation) -> Iterable[str]:
    if operation.events:
        yield f"With `stream: true` the answer comes as events. {operation.events}"
    if operation.refused:
        yield f"Refused by name, unless they ask for nothing: {', '.join(sorted(operation.refused))}."
    if operation.ignored:
        yield f"Without effect: {', '.join(sorted(operation.ignored))}."


def _parameters(path: str, operation: Operation) -> Iterable[Json]:
    if "{name}" in path:
        about = "A name of the list; it may hold slashes."
        yield {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}, "description": about}
    if operation.body:
        about = f"Name of the client, for fairness in the queue; its first {MAX_CLIENT} characters count."
        yield {"name": CLIENT_HEADER, "in": "header", "schema": {"type": "string"}, "description": about}


def _answer(operation: Operation) -> Json:
    """Describe an answer: one body, or events."""
    match operation.answer:
        case str(kind):
            content: Json = {kind: {"schema": {"type": "string"}}}
        case None:
            content = {"application/json": {"schema": {"type": "object"}}}
        case model:
            content = {"application/json": {"schema": _reference(model)}}
    if operation.events:
        content["text/event-stream"] = {"schema": _EVENT}
    return {"description": "The answer.", "content": content}


def _statuses(path: str, operation: Operation) -> set[int]:
    """Return the statuses of the errors at a path: those of HTTP, and those that its API gives to our errors."""
    found = {*_ANY_REQUEST, *(_WITH_BODY if operation.body else ()), *(() if path in OPEN_PATHS else (401,))}
    if operation.calls_model:
        found |= {error_format(path).failure(kind(""), "").status for kind in CODES}
    return found


def _error(path: str, status: int) -> Json:
    content = {"application/json": {"schema": _reference(error_format(path).envelope)}}
    return {"description": _REASONS[status], "content": content}


def _reference(model: Model) -> Json:
    return {"$ref": f"{_SCHEMAS}{model.__name__}"}


def _schemas() -> Json:
    """Return the schemas of all requests, answers and errors."""
    models = {
        model
        for path, operation in OPERATIONS.items()
        for model in (operation.body, operation.answer, error_format(path).envelope)
        if isinstance(model, type)
    }
    ordered = sorted(models, key=lambda model: model.__name__)
    pairs: list[tuple[Model, JsonSchemaMode]] = [(model, "validation") for model in ordered]
    _, written = models_json_schema(pairs, ref_template=f"{_SCHEMAS}{{model}}", schema_generator=_Untitled)
    schemas: Json = written["$defs"]
    for model in (ChatCompletionRequest, CompletionRequest, ResponsesRequest):
        fields = schemas[model.__name__]["properties"]
        fields |= {alias: fields[name] for alias, name in ALIASES.items()}
    for model in (ChatCompletionRequest, ResponsesRequest):
        fields = schemas[model.__name__]["properties"]
        fields |= dict.fromkeys(SWITCHES, SWITCH_SCHEMA)
        fields |= dict.fromkeys(BUDGETS, schemas["ChatCompletionRequest"]["properties"]["max_thinking_tokens"])
    return schemas
