"""The ASGI application: its routes, and the reports that need no generation."""

from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mcp_local_llm.doors.http.answer_route import AnswerRoute
from mcp_local_llm.doors.http.api import json_response
from mcp_local_llm.doors.http.error_responses import EXCEPTION_HANDLERS
from mcp_local_llm.doors.http.in_flight import InFlightAnswers
from mcp_local_llm.doors.http.messages import MESSAGES
from mcp_local_llm.doors.http.metrics import CONTENT_TYPE, metrics_text
from mcp_local_llm.doors.http.model_names import ModelNames
from mcp_local_llm.doors.http.openai import CHAT, TEXT
from mcp_local_llm.doors.http.openapi import description
from mcp_local_llm.doors.http.responses import RESPONSES
from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.values.errors import shortened
from mcp_local_llm.wire.openai.errors import envelope
from mcp_local_llm.wire.openai.write_response import model_list


def build_api(llm: LLM, in_flight: InFlightAnswers, *, any_model: bool = False) -> Starlette:
    """Make the application.

    Args:
        llm: executes the verbs.
        in_flight: counts and cancels the answers.
        any_model: answer requests that name an unknown model with the chosen one.
    """
    names = ModelNames(llm, any_model)
    messages = AnswerRoute(llm, in_flight, MESSAGES, names)
    responses = AnswerRoute(llm, in_flight, RESPONSES, names)
    reports = ReportRoutes(llm, in_flight, names)
    routes = [
        Route("/v1/chat/completions", AnswerRoute(llm, in_flight, CHAT, names).answer, methods=["POST"]),
        Route("/v1/completions", AnswerRoute(llm, in_flight, TEXT, names).answer, methods=["POST"]),
        Route("/v1/messages", messages.answer, methods=["POST"]),
        Route("/v1/messages/count_tokens", messages.count, methods=["POST"]),
        Route("/v1/responses", responses.answer, methods=["POST"]),
        Route("/v1/responses/input_tokens", responses.count, methods=["POST"]),
        Route("/v1/models", reports.models, methods=["GET"]),
        Route("/v1/models/{name:path}", reports.model, methods=["GET"]),
        Route("/health", reports.health, methods=["GET"]),
        Route("/metrics", reports.metrics, methods=["GET"]),
        Route("/openapi.json", reports.description, methods=["GET"]),
    ]
    return Starlette(routes=routes, exception_handlers=EXCEPTION_HANDLERS)


@dataclass(frozen=True)
class ReportRoutes:
    """Answers requests that need no generation: models, health, metrics, the description of all routes."""

    llm: LLM
    in_flight: InFlightAnswers
    names: ModelNames

    async def models(self, request: Request) -> Response:
        """List what a request can name: the resident model first, then roles and profiles, then the other models."""
        return json_response(model_list(await self.names.listed()))

    async def model(self, request: Request) -> Response:
        """Return one model of the list."""
        name = request.path_params["name"]
        if name not in await self.names.listed():
            message = f"The model {shortened(name)!r} does not exist. GET /v1/models lists what there is."
            return json_response(envelope(message, status=404, code="model_not_found", param="model"), 404)
        return json_response(model_list([name])["data"][0])

    async def health(self, request: Request) -> Response:
        """Name this program; clients recognise a server by it that requires a key."""
        return json_response({"status": "ok", "server": "mcp-local-llm"})

    async def description(self, request: Request) -> Response:
        """Describe the routes as OpenAPI does; only a request that may use them gets to know them."""
        return json_response(description())

    async def metrics(self, request: Request) -> Response:
        """Return the metrics."""
        text = metrics_text(await self.llm.status(), await self.llm.counters(), self.in_flight.state())
        return Response(text, headers={"content-type": CONTENT_TYPE})
