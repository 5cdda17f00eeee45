"""Servers that we start and stop: llama-server for GGUF files, mlx.launch for a model on several machines.

A server is used over HTTP like any other one; who speaks HTTP is handed in, so this package knows processes and command
lines, no protocol. A server never outlives its owner: see `supervisor.py`.
"""

from mcp_local_llm.engines.servers.engine import ServerLoader, ServerSettings
from mcp_local_llm.engines.servers.programs import Programs, find_programs, startable_models

__all__ = ["Programs", "ServerLoader", "ServerSettings", "find_programs", "startable_models"]
