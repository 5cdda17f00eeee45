"""Servers that this program starts and stops: llama-server for GGUF files, mlx.launch for a model on several machines.

    engine              starts a server for a model, waits for it, connects
    process_engine      one server as an engine
    commands            command lines and environments
    programs            where the programs are
    server_process      one server as a process
    stop_watch          gives up on one that a signal stopped or that hangs
    supervisor          ends a server when its owner has exited

It must not know a protocol: the HTTP engine is passed in.
"""

from mcp_local_llm.engines.servers.engine import ServerLoader
from mcp_local_llm.engines.servers.programs import Programs, find_programs, startable_models

__all__ = ["Programs", "ServerLoader", "find_programs", "startable_models"]
