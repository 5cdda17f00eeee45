"""Bare mlx-lm behind the SDK's own server, which does nothing else: `python -m benchmarks.bare_server FOLDER`."""

import sys
import time
from pathlib import Path

from mcp.server import MCPServer

from benchmarks.bare import Bare
from mcp_local_llm.values.chat import Message


def main() -> None:
    """Serve the model of a folder over stdio, with one tool that tells how long it has computed."""
    bare = Bare(Path(sys.argv[1]))
    server = MCPServer("bare", log_level="WARNING")

    # A coroutine, so that it runs on this thread, where the model is.
    async def chat(message: str, max_tokens: int) -> dict[str, float | str]:
        started = time.perf_counter()
        text = bare.answer([Message(role="user", content=message)], max_tokens)
        return {"text": text, "seconds": time.perf_counter() - started}

    server.add_tool(chat)
    server.run("stdio")


if __name__ == "__main__":
    main()
