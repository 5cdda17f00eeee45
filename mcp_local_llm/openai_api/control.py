"""The control part: what sessions that are attached to this server need beside the answers.

GET  /control/hello       who serves: package version, pid, version of this protocol, whether it is leaving
GET  /control/status      the core's status, and the clients with an answer under way
POST /control/set_model   {"name": ..., "download"?: bool}; a stream: progress as comments, then one event {"result"}
POST /control/load        {"name": ...}; the same, but the saved choice stays as it is
POST /control/drain       take no new answers; once the running ones are out, whoever serves is told to leave
"""

import json
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mcp_local_llm import __version__
from mcp_local_llm.engine import ReportProgress
from mcp_local_llm.openai_api.answers import EventAnswer
from mcp_local_llm.openai_api.body import json_body
from mcp_local_llm.openai_api.traffic import Traffic, client_of
from mcp_local_llm.service import LocalLLM
from mcp_local_llm.wire.envelope import ParameterError

PROTOCOL = 1
"""Grows when a client of an older version could misunderstand an answer."""


class _Load(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=300)


class _SetModel(_Load):
    download: bool = False


_Asked = TypeVar("_Asked", bound=_Load)


@dataclass(frozen=True)
class ControlRoutes:
    """Answers sessions."""

    llm: LocalLLM
    traffic: Traffic

    async def hello(self, request: Request) -> Response:
        """Say who serves."""
        who = {"server": "mcp-local-llm", "version": __version__, "protocol": PROTOCOL, "pid": os.getpid()}
        return JSONResponse({**who, "draining": self.traffic.state().draining})

    async def status(self, request: Request) -> Response:
        """Tell how things stand; at once, whatever the model does."""
        traffic, status = self.traffic.state(), self.llm.status()
        return JSONResponse(
            {
                "pid": os.getpid(),
                "clients": list(traffic.clients),
                "answers": traffic.answers,
                "draining": traffic.draining,
                "waiting": status.waiting,
                "status": status.model_dump(mode="json"),
            }
        )

    async def set_model(self, request: Request) -> Response:
        """Make a model resident and the choice, for everyone."""
        asked = _checked(_SetModel, await json_body(request))

        async def events(report: ReportProgress) -> AsyncGenerator[str]:
            switch = await self.llm.set_model(asked.name, report, download=asked.download)
            yield json.dumps({"result": switch.model_dump(mode="json")}, ensure_ascii=False)

        return EventAnswer(events, traffic=self.traffic, client=client_of(request))

    async def load(self, request: Request) -> Response:
        """Make a model resident."""
        asked = _checked(_Load, await json_body(request))

        async def events(report: ReportProgress) -> AsyncGenerator[str]:
            switch = await self.llm.load(asked.name, report)
            yield json.dumps({"result": switch.model_dump(mode="json")}, ensure_ascii=False)

        return EventAnswer(events, traffic=self.traffic, client=client_of(request))

    async def drain(self, request: Request) -> Response:
        """Begin to leave; the answer does not wait for the end."""
        self.traffic.drain()
        return JSONResponse({"draining": True, "answers": self.traffic.state().answers}, 202)


def _checked(kind: type[_Asked], body: object) -> _Asked:
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        param = ".".join(str(part) for part in problem["loc"]) or "body"
        raise ParameterError(f"Invalid value for '{param}': {problem['msg']}.", param) from error
