"""Connections to one server: the API, or the local door. Certificates and proxies are those that Claude Code would use.

httpx's transport alone is used, without its client: nothing follows redirects, keeps cookies, decompresses or retries.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

import httpx

from mcp_local_llm.agents.forwarder.body import RequestBody
from mcp_local_llm.agents.forwarder.headers import RawHeaders
from mcp_local_llm.values.errors import ConfigError

CONNECT_TIMEOUT_S = 30.0
"""Seconds until a server that does not answer counts as unreachable. Nothing else is timed: clients have limits."""

KEPT_S = 60.0
"""Seconds for which an idle connection is kept for the next request."""

PROXIES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")
"""The variables in which Claude Code looks for a proxy, in its order, whatever the scheme of the address."""

_TIMEOUTS = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S).as_dict()


@dataclass(frozen=True)
class Upstream:
    """A server at one address; requests reach no other.

    Attributes:
        origin: scheme, host and port.
        base_path: the path of its base URL, which goes before that of each request.
        host: the `Host` of its requests.
        proxy: scheme, host and port of the proxy in between; None where there is none.
    """

    origin: str
    base_path: bytes
    host: bytes
    proxy: str | None
    _transport: httpx.AsyncHTTPTransport

    async def send(self, method: bytes, target: bytes, headers: RawHeaders, body: RequestBody) -> httpx.Response:
        """Send a request; returns when the head of the response is there. The caller closes the response.

        Raises:
            httpx.TransportError: no connection, or no response on it.
        """
        request = httpx.Request(
            method.decode(),
            self.origin,
            headers=list(headers),
            stream=body,
            # The target as it came: an address would be put in its normal form.
            extensions={"timeout": _TIMEOUTS, "target": self.base_path + target},
        )
        return await self._transport.handle_async_request(request)

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.aclose()


def api_upstream(url: str, environ: Mapping[str, str]) -> Upstream:
    """Return the API at `url`, reached with the certificates and through the proxy that `environ` names.

    Raises:
        ConfigError: a file of certificates cannot be read, or the proxy's address cannot be used.
    """
    parts = urlsplit(url)
    trust = trusted(environ) if parts.scheme == "https" else _no_trust()
    return _upstream(parts, trust, proxy_for(parts, environ))


def local_upstream(url: str) -> Upstream:
    """Return the local door at `url`; no proxy is ever between."""
    return _upstream(urlsplit(url), _no_trust(), None)


def _upstream(parts: SplitResult, trust: ssl.SSLContext, proxy: str | None) -> Upstream:
    try:
        transport = httpx.AsyncHTTPTransport(
            verify=trust,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEPT_S),
            proxy=None if proxy is None else httpx.Proxy(proxy, ssl_context=trust),
        )
        address = httpx.URL(parts.geturl())
    except (ValueError, httpx.InvalidURL) as error:
        raise ConfigError(f"An address cannot be used: {error}.") from error
    host = address.netloc
    through = None if proxy is None else _origin(urlsplit(proxy))
    return Upstream(_origin(parts), address.raw_path.rstrip(b"/"), host, through, transport)


def _origin(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def trusted(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return the certificates that Claude Code would trust, and the client's own where one is named.

    Raises:
        ConfigError: one of the files cannot be read, or holds none.
    """
    try:
        # Reads SSL_CERT_FILE and SSL_CERT_DIR of this process.
        context = httpx.create_ssl_context()
        context.load_default_certs()
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"SSL_CERT_FILE or SSL_CERT_DIR cannot be used: {error}.") from error
    if more := environ.get("NODE_EXTRA_CA_CERTS"):
        try:
            context.load_verify_locations(cafile=more)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"NODE_EXTRA_CA_CERTS cannot be used ({more}): {error}.") from error
    if own := environ.get("CLAUDE_CODE_CLIENT_CERT"):
        phrase = environ.get("CLAUDE_CODE_CLIENT_KEY_PASSPHRASE")
        try:
            context.load_cert_chain(own, environ.get("CLAUDE_CODE_CLIENT_KEY"), phrase)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"CLAUDE_CODE_CLIENT_CERT cannot be used ({own}): {error}.") from error
    return context


def _no_trust() -> ssl.SSLContext:
    """Return a context without certificates, for plain HTTP: whatever spoke TLS would be refused."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def proxy_for(parts: SplitResult, environ: Mapping[str, str]) -> str | None:
    """Return the address of the proxy for an address; None where there is none, and for this machine.

    Raises:
        ConfigError: it is of a kind that cannot be used.
    """
    variable = next((name for name in PROXIES if environ.get(name)), None)
    host = parts.hostname or ""
    spared = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if variable is None or _is_loopback(host) or _is_spared(parts, spared):
        return None
    proxy = environ[variable]
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    kind = urlsplit(proxy)
    if kind.scheme not in ("http", "https") or not kind.hostname:
        raise ConfigError(f"{variable} names a proxy that cannot be used; it begins with http:// or https://.")
    return proxy


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_spared(parts: SplitResult, spared: str) -> bool:
    """Say whether NO_PROXY names an address: `*`, hosts, their domains, each also with a port."""
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    for entry in spared.lower().replace(",", " ").split():
        name = entry.removeprefix("*").removeprefix(".")
        if not name or any(full == name or full.endswith(f".{name}") for full in (host, f"{host}:{port}")):
            return True
    return False
