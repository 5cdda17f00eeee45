"""Where servers are, what vouches for them, and the proxy in between, as Claude Code itself finds these.

What a user has set for Claude Code holds for the forwarder, because it takes over Claude Code's way to the API.
"""

import base64
import ssl
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

import httpx

from mcp_local_llm.values.errors import ConfigError

PROXIES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")
"""The variables in which Claude Code looks for a proxy, in its order, whatever the scheme of the address."""


@dataclass(frozen=True)
class Address:
    """A server.

    Attributes:
        scheme, host, port: as in a URL.
        path: of its base URL, without a slash at the end.
        login: for the server, where it is a proxy; the value of a header.
    """

    scheme: str
    host: str
    port: int
    path: bytes = b""
    login: bytes | None = None

    @property
    def name(self) -> str:
        """Its host, and its port unless that is the usual one: what a `Host` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _usual_port(self.scheme) else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{self.scheme}://{self.name}"


def address_of(url: str) -> Address:
    """Read a URL.

    Raises:
        ValueError: it is none for http or https; the message does not repeat it, because it may hold a login.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must begin with http:// or https:// and a host")
    login = None
    if parts.username is not None:
        words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        login = b"Basic " + base64.b64encode(words.encode())
    host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode()
    port = _usual_port(parts.scheme) if parts.port is None else parts.port
    return Address(parts.scheme, host, port, parts.path.rstrip("/").encode(), login)


def _usual_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def proxy_for(address: Address, environ: Mapping[str, str]) -> Address | None:
    """Return the proxy for an address; None where there is none, and for this machine.

    Raises:
        ConfigError: it is of a kind that cannot be used.
    """
    variable = next((name for name in PROXIES if environ.get(name)), None)
    spared = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if variable is None or _is_loopback(address.host) or _is_spared(address, spared):
        return None
    url = environ[variable]
    try:
        return address_of(url if "://" in url else f"http://{url}")
    except ValueError as error:
        raise ConfigError(f"{variable} names a proxy that cannot be used: {error}.") from error


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_spared(address: Address, spared: str) -> bool:
    """Say whether NO_PROXY names an address: `*`, hosts, their domains, each also with a port."""
    names = (address.host.lower(), f"{address.host.lower()}:{address.port}")
    for entry in spared.lower().replace(",", " ").split():
        spared_name = entry.removeprefix("*").removeprefix(".")
        if not spared_name or any(name == spared_name or name.endswith(f".{spared_name}") for name in names):
            return True
    return False


def trusted(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return the certificates that Claude Code would trust, and the client's own where one is named.

    Raises:
        ConfigError: one of the files cannot be read, or holds none.
    """
    with _reading("SSL_CERT_FILE or SSL_CERT_DIR"):
        # httpx brings Mozilla's certificates, and reads the two variables of this process.
        context = httpx.create_ssl_context()
        context.load_default_certs()
    if more := environ.get("NODE_EXTRA_CA_CERTS"):
        with _reading("NODE_EXTRA_CA_CERTS"):
            context.load_verify_locations(cafile=more)
    if own := environ.get("CLAUDE_CODE_CLIENT_CERT"):
        with _reading("CLAUDE_CODE_CLIENT_CERT"):
            phrase = environ.get("CLAUDE_CODE_CLIENT_KEY_PASSPHRASE")
            context.load_cert_chain(own, environ.get("CLAUDE_CODE_CLIENT_KEY"), phrase)
    context.set_alpn_protocols(["http/1.1"])
    return context


@contextmanager
def _reading(variable: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        # The errors of TLS are among them.
        raise ConfigError(f"The certificates of {variable} cannot be used: {error}.") from error
