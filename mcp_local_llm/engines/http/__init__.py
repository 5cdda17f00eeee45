"""Every OpenAI-compatible server as an engine. It must not know flavors: see `wire/flavors.py`.

engine, chunks      one model of an endpoint; one answer as it arrives
connection          requests over httpx, which only this module and `models.hub` import
failures            the errors of an endpoint
endpoint_models     the models that endpoints list
probe               which servers listen on this machine
api_key             keys from variables and files
"""

from mcp_local_llm.engines.http.endpoint_models import EndpointModels
from mcp_local_llm.engines.http.engine import EndpointLoader
from mcp_local_llm.engines.http.probe import list_endpoint, look_at_ports

__all__ = ["EndpointLoader", "EndpointModels", "list_endpoint", "look_at_ports"]
