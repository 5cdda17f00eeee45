"""Which headers go on, to the API and back, and to the local door. Pure.

Order, spelling and repetitions stay as they came. What belongs to one connection (RFC 9110, 7.6.1) is left out, because
both connections are their own.
"""

from collections.abc import Iterable, Sequence

RawHeaders = Sequence[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)
FOR_PROXIES = frozenset((b"proxy-authorization",))
"""A login at a proxy is between the forwarder and that proxy."""

LOCAL = frozenset(
    (
        b"accept",
        b"accept-encoding",
        b"anthropic-beta",
        b"anthropic-version",
        b"content-length",
        b"content-type",
        b"user-agent",
        b"x-app",
        b"x-claude-code-agent-id",
        b"x-claude-code-session-id",
    )
)
"""All that the local door gets to see. The user's login may stand in any other header, so none other goes there."""


def to_upstream(headers: RawHeaders, host: bytes) -> list[tuple[bytes, bytes]]:
    """Return a request's headers for the API: the host is the API's own, where the client named the forwarder."""
    kept = [(name, host if name.lower() == b"host" else value) for name, value in _end_to_end(headers, FOR_PROXIES)]
    # Clients of HTTP/1.0 need not name a host.
    named = [] if value_of(headers, b"host") else [(b"Host", host)]
    return [*named, *kept, *_chunked(headers)]


def to_local(headers: RawHeaders, host: bytes, key: str) -> list[tuple[bytes, bytes]]:
    """Return a request's headers for the local door, with its key in place of the user's login."""
    kept = [(name, value) for name, value in _end_to_end(headers) if name.lower() in LOCAL]
    return [(b"Host", host), (b"Authorization", b"Bearer " + key.encode()), *kept, *_chunked(headers)]


def to_client(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Return a response's headers for the client."""
    return list(_end_to_end(headers))


def value_of(headers: RawHeaders, wanted: bytes) -> bytes:
    """Return the values of a header, joined; empty where it is missing."""
    return b",".join(value for name, value in headers if name.lower() == wanted)


def _end_to_end(headers: RawHeaders, more: frozenset[bytes] = frozenset()) -> Iterable[tuple[bytes, bytes]]:
    named = {name.strip().lower() for name in value_of(headers, b"connection").split(b",")}
    dropped = HOP_BY_HOP | more | named
    # A length beside chunks is to be ignored (RFC 9112, 6.3).
    if value_of(headers, b"transfer-encoding"):
        dropped |= {b"content-length"}
    return ((name, value) for name, value in headers if name.lower() not in dropped)


def _chunked(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Return the header of a body in chunks, where the body came so."""
    return [(b"Transfer-Encoding", b"chunked")] if value_of(headers, b"transfer-encoding") else []
