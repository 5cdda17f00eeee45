"""Errors of the forwarder in the form of the Messages API, whose words Claude Code shows. Pure."""

import json
from dataclasses import dataclass

EVENTS = b"text/event-stream"


@dataclass(frozen=True)
class Refusal:
    """An error instead of an answer.

    Attributes:
        status: of the HTTP response.
        kind: the type of the error.
        message: what happened, and what to do.
        again: whether clients are to try again; None leaves that to them.
    """

    status: int
    kind: str
    message: str
    again: bool | None = None

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of the response."""
        told = [] if self.again is None else [(b"x-should-retry", str(self.again).lower().encode())]
        length = str(len(self.body)).encode()
        return [(b"content-type", b"application/json"), (b"content-length", length), *told]

    @property
    def body(self) -> bytes:
        """The body of the response."""
        return json.dumps({"type": "error", "error": {"type": self.kind, "message": self.message}}).encode()

    @property
    def event(self) -> bytes:
        """The same as an event, behind whatever the stream has told so far."""
        return b"\n\nevent: error\ndata: " + self.body + b"\n\n"


NO_KEY = Refusal(
    403,
    "permission_error",
    "This forwarder answers only the agent that it was started for: the path of a request begins with its key.",
    again=False,
)


def upstream_failed(origin: str, reason: str) -> Refusal:
    """Return the error for a request that the API did not answer; clients decide about another try, as without us."""
    remedy = ""
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        remedy = " Name the file of your organisation's certificate in NODE_EXTRA_CA_CERTS, and start anew."
    return Refusal(502, "api_error", f"mcp-local-llm's forwarder got no answer from {origin}: {reason}.{remedy}")


def local_failed(model: str, reason: str) -> Refusal:
    """Return the error for a request that the local model did not answer."""
    message = (
        f"The local model {model} gave no answer: {reason}. Requests for other models are not affected. "
        "`mcp-local-llm launch claude --subagents-local`, started anew, starts the local model again."
    )
    # Clients would repeat a 5xx ten times, within a minute, to a process that does not come back.
    return Refusal(503, "api_error", message, again=False)
