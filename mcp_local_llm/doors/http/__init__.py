"""The door that OpenAI's clients know, on a TCP port.

    api       routes and failures           chat       translate in, ask the core, translate out
    answers   whole or as events            in_flight    what is under way, and how it ends
    access    who may ask over TCP          metrics    numbers for Prometheus
    listen    sockets, serving in a running loop       standing   a server without stdio

The only place that knows starlette and uvicorn. Import it when something is to be served: it takes a third of a second,
which a stdio server need not spend.
"""

from mcp_local_llm.doors.http.access import AccessGuard, AccessRules, access_rules
from mcp_local_llm.doors.http.in_flight import InFlightAnswers
from mcp_local_llm.doors.http.listen import bind_tcp, serving
from mcp_local_llm.doors.http.routes import build_api
from mcp_local_llm.doors.http.serve import Address, serve_standing

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
]
