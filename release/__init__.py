"""Makes what others install from: the bundle for Claude Desktop."""
