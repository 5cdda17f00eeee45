"""The door that OpenAI's clients know, and the holder's side of the socket between sessions.

    api       routes and failures           chat, control   translate in, ask LocalLLM, translate out
    answers   whole or as events            traffic         what is under way, and how it ends
    access    who may ask over TCP          peer            who may connect to the Unix socket
    sessions  who uses the model over it
    listen    sockets, serving in a running loop    standing        a holder without stdio

The only place that knows starlette and uvicorn. Import it when something is to be served: it takes a third of a second,
which a stdio server that nobody shares need not spend.
"""

from mcp_local_llm.openai_api.access import AccessRules, Guard, access_rules
from mcp_local_llm.openai_api.api import build_api
from mcp_local_llm.openai_api.listen import bind_tcp, bind_unix, serve_socket, serving
from mcp_local_llm.openai_api.socket_door import SocketDoor
from mcp_local_llm.openai_api.standing import Address, serve_standing
from mcp_local_llm.openai_api.traffic import Traffic

__all__ = [
    "AccessRules",
    "Address",
    "Guard",
    "SocketDoor",
    "Traffic",
    "access_rules",
    "bind_tcp",
    "bind_unix",
    "build_api",
    "serve_socket",
    "serve_standing",
    "serving",
]
