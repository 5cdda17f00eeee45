"""What each route takes and returns: the table that `openapi` writes the published description from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from mcp_local_llm.doors.http.metrics import CONTENT_TYPE
from mcp_local_llm.wire.anthropic.request_schema import MessagesRequest
from mcp_local_llm.wire.anthropic.response_schema import InputTokens, MessageObject
from mcp_local_llm.wire.openai.completions import CHAT_ONLY, CompletionRequest
from mcp_local_llm.wire.openai.read_request import IGNORED, UNSUPPORTED
from mcp_local_llm.wire.openai.request_schema import ChatCompletionRequest
from mcp_local_llm.wire.openai.response_schema import ChatCompletion, ModelObject, ModelObjects, TextCompletion
from mcp_local_llm.wire.responses.read_request import IGNORED as ALSO_IGNORED
from mcp_local_llm.wire.responses.read_request import MOVED, STORED
from mcp_local_llm.wire.responses.request_schema import ResponsesRequest
from mcp_local_llm.wire.responses.response_schema import ResponseInputTokens, ResponseObject

Model = type[BaseModel]


class Health(BaseModel):
    """The name of this program; clients recognise a server by it that requires a key."""

    status: str
    server: str


@dataclass(frozen=True)
class Operation:
    """What one route does, for the description.

    Attributes:
        summary: one line.
        answer: schema of the answer; the content type of one that is plain text; None for any JSON object.
        body: schema of the request; None where it has no body.
        refused: further fields that are refused by name, unless their value asks for nothing.
        ignored: further fields that change nothing.
        events: what is sent instead of one answer where the request says `stream: true`; empty where nothing streams.
        calls_model: whether it asks the process that holds the model, whose errors it can then return.
    """

    summary: str
    answer: Model | str | None
    body: Model | None = None
    refused: Iterable[str] = ()
    ignored: Iterable[str] = ()
    events: str = ""
    calls_model: bool = True


_CHUNKS = (
    "Each event is a `{}` object in a line `data:`; the last line is `data: [DONE]`. Comments (lines that begin with a "
    "colon) tell progress. An error after the headers is an event with the error envelope, and no `[DONE]` follows."
)

OPERATIONS: Mapping[str, Operation] = {
    "/v1/chat/completions": Operation(
        "Answer a conversation (OpenAI's Chat Completions)",
        ChatCompletion,
        ChatCompletionRequest,
        UNSUPPORTED,
        IGNORED,
        _CHUNKS.format("chat.completion.chunk"),
    ),
    "/v1/completions": Operation(
        "Continue a text without a chat template (OpenAI's Completions)",
        TextCompletion,
        CompletionRequest,
        {**UNSUPPORTED, **CHAT_ONLY},
        IGNORED,
        _CHUNKS.format("text_completion"),
    ),
    "/v1/messages": Operation(
        "Answer a conversation (Anthropic's Messages API)",
        MessageObject,
        MessagesRequest,
        events="The events of Anthropic's API, from `message_start` to `message_stop`, each named on its line "
        "`event:`, with `ping` in each silence. An error after the headers is an event `error`.",
    ),
    "/v1/messages/count_tokens": Operation("Count the tokens of a conversation", InputTokens, MessagesRequest),
    "/v1/responses": Operation(
        "Answer a conversation (OpenAI's Responses API)",
        ResponseObject,
        ResponsesRequest,
        {**UNSUPPORTED, **STORED, **MOVED},
        IGNORED | ALSO_IGNORED,
        "The events of OpenAI's API, from `response.created` to `response.completed`, each named on its line `event:`, "
        "with `response.in_progress` in each silence. An error after the headers is an event `response.failed`.",
    ),
    "/v1/responses/input_tokens": Operation(
        "Count the tokens of a conversation", ResponseInputTokens, ResponsesRequest
    ),
    "/v1/models": Operation("List the models that a request can name", ModelObjects),
    "/v1/models/{name}": Operation("Return one model of the list", ModelObject),
    "/health": Operation("Name this program", Health, calls_model=False),
    "/metrics": Operation("Return the metrics in Prometheus' text format", CONTENT_TYPE),
    "/openapi.json": Operation("Return this description", None, calls_model=False),
}
"""Path → what it does; those with a body take POST, the others GET."""
