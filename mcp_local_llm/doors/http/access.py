"""Checks requests over TCP: their key, their `Host`, and their `Origin`, so that no foreign web page gets in.

A web page that a browser shows can send requests to any address of this machine. `Origin` gives it away; a page that
rebinds its own name to 127.0.0.1 (DNS rebinding) is recognised by `Host`, which then holds that name.
"""

import hmac
import ipaddress
import re
import socket
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_local_llm.doors.http.error_responses import error_response, refusal
from mcp_local_llm.values.errors import ConfigError, shortened

_SLASHES = re.compile("/{2,}")

OPEN_PATHS = frozenset({"/health"})
"""Answered without a key: the response names only the program."""


@dataclass(frozen=True)
class AccessRules:
    """The conditions for a request over TCP.

    Attributes:
        names: host names it may use, besides those of the loopback; small letters.
        any_address: the host may also be any IP address; one cannot be rebound, so this is safe where a name is not.
        key: its `Authorization: Bearer` or `x-api-key`; None where none is needed.
        hosts: patterns of more host names that it may use, from the settings.
        origins: patterns of the origins of web pages and desktop apps that may read the responses, from the settings.
    """

    names: frozenset[str] = frozenset()
    any_address: bool = False
    key: str | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def knows(self, host: str) -> bool:
        """Say whether a host name or address, without port and brackets, may be used."""
        name = host.lower().rstrip(".")
        if name == "localhost" or name in self.names:
            return True
        address = _address(name)
        return address is not None and (address.is_loopback or self.any_address)

    def lets_host(self, host: str) -> bool:
        """Say whether a request may name this host."""
        return self.knows(host) or _fits(host.lower().rstrip("."), self.hosts)

    def shares_with(self, origin: str | None) -> bool:
        """Say whether pages of this origin may read the responses (CORS)."""
        return origin is not None and _fits(origin.lower(), self.origins)


def access_rules(
    host: str, key: str | None, *, hosts: tuple[str, ...] = (), origins: tuple[str, ...] = ()
) -> AccessRules:
    """Make the rules for a server that listens on `host`; `hosts` and `origins` are the settings `allowed_...`.

    Raises:
        ConfigError: other machines could reach it, and there is no key.
    """
    rules = AccessRules(key=key, hosts=hosts, origins=origins)
    if is_loopback(host):
        return rules
    if not key:
        raise ConfigError(
            f"--host {host} would let other machines in, and there is no key. Set MCP_LOCAL_LLM_API_KEY (or api_key in "
            "config.toml) to a long random text, or leave --host out."
        )
    address = _address(host)
    if address is not None and address.is_unspecified:
        own = socket.gethostname().lower()
        return replace(rules, names=frozenset({own, f"{own.partition('.')[0]}.local"}), any_address=True)
    return replace(rules, names=frozenset({host.lower()}))


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
        scope = {**scope, "path": _SLASHES.sub("/", scope["path"]).rstrip("/") or "/"}
        send = self._sharing(Headers(scope=scope).get("origin"), send)
        await (self._refusal(scope) or self._app)(scope, receive, send)

    def _sharing(self, origin: str | None, send: Send) -> Send:
        """Let pages of this origin read the response, whatever its status, where the settings allow it."""
        if origin is None or not self._rules.shares_with(origin):
            return send

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["access-control-allow-origin"] = origin
                headers["access-control-expose-headers"] = "*"
                headers.add_vary_header("Origin")
            await send(message)

        return sending

    def _refusal(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        host = _host_name(headers.get("host", ""))
        if not host or not self._rules.lets_host(host):
            message = f"The Host header names {shortened(host or 'nothing')!r}, which this server is not called."
            remedy = (
                "Use localhost, or the host that it was started with, or name this one in the setting allowed_hosts."
            )
            return _refuse(path, 403, f"{message} {remedy}", "host_not_allowed")
        origin = headers.get("origin")
        shared = self._rules.shares_with(origin)
        if origin is not None and not shared and not self._rules.knows(_origin_host(origin)):
            message = f"Web pages of {shortened(origin)!r} may not use this server."
            return _refuse(path, 403, f"{message} The setting allowed_origins can let them.", "origin_not_allowed")
        if shared and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            return _preflight(headers)
        if self._rules.key and path not in OPEN_PATHS and not _same_key(_given_key(headers), self._rules.key):
            message = (
                "A key is needed: send `Authorization: Bearer KEY` or `x-api-key: KEY` with the key that this "
                "server was given."
            )
            return _refuse(path, 401, message, "invalid_api_key")
        return None


def _given_key(headers: Headers) -> str:
    """Return the key of a request: OpenAI's clients send it as a bearer, Anthropic's either way."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()


def _same_key(given: str, key: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode(), key.encode())


def _preflight(headers: Headers) -> Response:
    """Answer the question that a browser asks before a request of a page; it never carries the key."""
    allowed = {
        "access-control-allow-methods": "GET, POST, OPTIONS",
        "access-control-allow-headers": headers.get("access-control-request-headers", "authorization, content-type"),
        "access-control-max-age": "600",
    }
    if "access-control-request-private-network" in headers:
        allowed["access-control-allow-private-network"] = "true"
    return Response(status_code=204, headers=allowed)


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    """Say whether one of the patterns is this name; a star stands for anything within it."""
    return any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name) for pattern in patterns)


def _refuse(path: str, status: int, message: str, code: str) -> Response:
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return error_response(refusal(path, status, message, code), headers)


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
