"""Every OpenAI-compatible server as an engine: on this machine, in the network, or a sibling's socket.

The only package that knows httpx. What servers understand is a table in `wire/flavors.py`; no code here asks which
server it talks to.
"""

from mcp_local_llm.engines.http.endpoint_models import EndpointModels
from mcp_local_llm.engines.http.engine import EndpointLoader
from mcp_local_llm.engines.http.probe import list_endpoint, look_at_ports

__all__ = ["EndpointLoader", "EndpointModels", "list_endpoint", "look_at_ports"]
