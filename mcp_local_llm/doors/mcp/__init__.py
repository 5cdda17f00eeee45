"""The MCP door: six tools and a prompt over stdio. It must not know how models are chosen or loaded.

server, stdio               the server object; serving until the client is gone
tools, file_tools           the tools; with files, and `draft`
strict_tool                 argument checks and results
prompts, descriptions       the prompt and its completions; texts that agents read
progress                    progress notifications
"""

from mcp_local_llm.doors.mcp.server import build_server
from mcp_local_llm.doors.mcp.stdio import serve_stdio

__all__ = ["build_server", "serve_stdio"]
