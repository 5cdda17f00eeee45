"""The MCP door: five tools and a prompt over stdio. It must not know how models are chosen or loaded.

server, stdio               the server object; serving until the client is gone
tools, strict_tool          the five tools; their argument checks and results
prompts, descriptions       the prompt and its completions; texts that agents read
progress                    progress notifications
"""

from mcp_local_llm.doors.mcp.server import build_server
from mcp_local_llm.doors.mcp.stdio import serve_stdio

__all__ = ["build_server", "serve_stdio"]
