"""mcp-local-llm: one resident local model behind the tools of a coding agent."""

__version__ = "0.2.0"
