"""Checks requests over TCP: their key, their `Host`, and their `Origin`, so that no foreign web page gets in.

A web page that a browser shows can send requests to any address of this machine. `Origin` gives it away; a page that
rebinds its own name to 127.0.0.1 (DNS rebinding) is recognised by `Host`, which then holds that name.
"""

import hmac
import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_local_llm.values.errors import ConfigError
from mcp_local_llm.wire.openai.errors import envelope

_SLASHES = re.compile("/{2,}")

OPEN_PATHS = frozenset({"/health"})
"""Answered without a key: the response names only the program."""


@dataclass(frozen=True)
class AccessRules:
    """The conditions for a request over TCP.

    Attributes:
        names: host names it may use, besides those of the loopback; small letters.
        any_address: the host may also be any IP address; one cannot be rebound, so this is safe where a name is not.
        key: its `Authorization: Bearer`; None where none is needed.
    """

    names: frozenset[str] = frozenset()
    any_address: bool = False
    key: str | None = None

    def knows(self, host: str) -> bool:
        """Say whether a host name or address, without port and brackets, may be used."""
        name = host.lower().rstrip(".")
        if name == "localhost" or name in self.names:
            return True
        address = _address(name)
        return address is not None and (address.is_loopback or self.any_address)


def access_rules(host: str, key: str | None) -> AccessRules:
    """Make the rules for a server that listens on `host`.

    Raises:
        ConfigError: other machines could reach it, and there is no key.
    """
    if is_loopback(host):
        return AccessRules(key=key)
    if not key:
        raise ConfigError(
            f"--host {host} would let other machines in, and there is no key. Set MCP_LOCAL_LLM_API_KEY (or api_key in "
            "config.toml) to a long random text, or leave --host out."
        )
    address = _address(host)
    if address is not None and address.is_unspecified:
        own = socket.gethostname().lower()
        return AccessRules(frozenset({own, f"{own.partition('.')[0]}.local"}), any_address=True, key=key)
    return AccessRules(frozenset({host.lower()}), key=key)


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach a server that listens on `host`."""
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


class AccessGuard:
    """Passes requests that the rules allow, and refuses all others."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on, with a path that has no doubled and no trailing slashes."""
        if scope["type"] == "http":
            scope = {**scope, "path": _SLASHES.sub("/", scope["path"]).rstrip("/") or "/"}
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        host = _host_name(headers.get("host", ""))
        if not host or not self._rules.knows(host):
            message = f"The Host header names {host or 'nothing'!r}, which this server is not called."
            return _refuse(403, f"{message} Use localhost, or the host that it was started with.", "host_not_allowed")
        origin = headers.get("origin")
        if origin is not None and not self._rules.knows(_origin_host(origin)):
            return _refuse(403, f"Web pages of {origin!r} may not use this server.", "origin_not_allowed")
        if self._rules.key and scope["path"] not in OPEN_PATHS:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not _same_key(given.strip(), self._rules.key):
                message = "A key is needed: send `Authorization: Bearer KEY` with the key that this server was given."
                return _refuse(401, message, "invalid_api_key")
        return None


def _same_key(given: str, key: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode(), key.encode())


def _refuse(status: int, message: str, code: str) -> JSONResponse:
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(envelope(message, status=status, code=code), status, headers)


def _host_name(header: str) -> str:
    """Return the host of a `Host` header; empty where it is none."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _origin_host(origin: str) -> str:
    """Return the host of a web page's origin; empty for `null` and for what is none."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    return (parts.hostname or "") if parts.scheme in ("http", "https") else ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
