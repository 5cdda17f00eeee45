"""Whether a server on this machine says that it is well: one line of HTTP, all that a start needs to know."""

import anyio

ANSWER_S = 2.0
"""Seconds that a server may take to say so; a busy one is asked again."""


async def health_status(port: int, path: str = "/health") -> int | None:
    """Return the HTTP status that a server on loopback gives for its health; None where it gives none yet."""
    try:
        with anyio.fail_after(ANSWER_S):
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(
                    f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
                )
                head = await stream.receive(64)
    except (OSError, TimeoutError, anyio.EndOfStream, anyio.BrokenResourceError):
        return None
    status = head.split(b" ", 2)[1:2]
    return int(status[0]) if status and status[0][:3].isdigit() and len(status[0]) == 3 else None
