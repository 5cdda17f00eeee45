"""What the tests of the HTTP door share."""

import json
from dataclasses import dataclass
from typing import Any

import anyio
import httpx

from mcp_local_llm.app import App
from mcp_local_llm.doors.http import InFlightAnswers
from mcp_local_llm.values.results import Status
from tests.clients import POLL_S, WAIT_S

LEGS = "How many legs do two cats and a bird have?"
"""The built-in model thinks about this one in a few dozen tokens, and answers 10."""
ENDLESS = "Repeat the word la forever."

Json = dict[str, Any]


@dataclass(frozen=True)
class Door:
    """A door that is served in this process, and a plain client of its TCP port."""

    app: App
    in_flight: InFlightAnswers
    url: str
    http: httpx.AsyncClient

    async def until(self, answers: int) -> Status:
        """Ask for the status until so many answers are under way, and the engine has as many calls."""
        with anyio.fail_after(WAIT_S):
            while True:
                status = await self.app.llm.status()
                if self.in_flight.state().answers == answers == status.calls_running:
                    return status
                await anyio.sleep(POLL_S)


def question(text: str, **fields: Any) -> Json:
    """The body of a chat with the model that is chosen."""
    return {"model": "", "messages": [{"role": "user", "content": text}], **fields}


def endless(**fields: Any) -> Json:
    """A question whose answer goes on until somebody ends it."""
    return question(ENDLESS, reasoning_effort="none", repetition_limit=0, max_tokens=3000, **fields)


def events(body: str) -> list[Json]:
    """The events of a stream, decoded; the mark of its end must be there, and comments are passed over."""
    lines = [line for line in body.splitlines() if line and not line.startswith(":")]
    assert lines[-1] == "data: [DONE]", lines[-3:]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
