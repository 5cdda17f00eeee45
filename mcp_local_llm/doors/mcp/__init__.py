"""The MCP door: five tools and a prompt, in both protocol eras, over stdio.

It translates in, calls the core, and translates out. It decides nothing about models.
"""

from mcp_local_llm.doors.mcp.server import build_server
from mcp_local_llm.doors.mcp.stdio import serve_stdio

__all__ = ["build_server", "serve_stdio"]
