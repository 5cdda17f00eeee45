"""The HTTP door: APIs of model servers on a TCP port. It must not know how models are chosen or loaded.

    api                 what an API brings: reading, writing, heartbeats, errors
    openai, responses   OpenAI's chat and text completions; its Responses API
    routes              the paths, and reports
    answer_route        requests of any API to answers
    error_responses     errors in the form of the API whose path was asked for
    streaming           answers as one JSON body or as events
    in_flight           answers in progress, and their end
    access              keys, host names and origins
    metrics             numbers for Prometheus
    operations, openapi what each route takes and returns; the description at /openapi.json
    connections         their number, and how long one may be silent
    listen, serve       sockets and uvicorn; a server without stdio

Import it only to serve: starlette and uvicorn take a third of a second, which a stdio server need not spend.
"""

from mcp_local_llm.doors.http.access import AccessGuard, AccessRules, access_rules
from mcp_local_llm.doors.http.in_flight import InFlightAnswers
from mcp_local_llm.doors.http.listen import bind_tcp, serving
from mcp_local_llm.doors.http.routes import build_api
from mcp_local_llm.doors.http.serve import Address, serve_standing, serving_at

__all__ = [
    "AccessGuard",
    "AccessRules",
    "Address",
    "InFlightAnswers",
    "access_rules",
    "bind_tcp",
    "build_api",
    "serve_standing",
    "serving",
    "serving_at",
]
