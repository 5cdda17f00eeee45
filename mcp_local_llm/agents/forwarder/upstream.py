"""The connections to one server, the API or the local door: made when needed, kept for the next request."""

import ssl
import time
from collections.abc import Mapping

import anyio
import h11

from mcp_local_llm.agents.forwarder.addresses import Address, address_of, proxy_for, trusted
from mcp_local_llm.agents.forwarder.connection import Connection, connected, tunnelled
from mcp_local_llm.agents.forwarder.headers import RawHeaders

CONNECT_TIMEOUT_S = 30.0
"""Seconds until a server that does not answer counts as unreachable. Nothing else is timed: clients have limits."""

KEPT_S = 60.0
"""Seconds for which an idle connection is used again; a router on the way may have forgotten an older one."""


class Upstream:
    """A server; requests reach no other.

    Attributes:
        address: where it is.
        proxy: what is in between; None where nothing is.
    """

    def __init__(self, address: Address, trust: ssl.SSLContext | None = None, proxy: Address | None = None) -> None:
        self.address = address
        self.proxy = proxy
        self._trust = trust
        self._idle: list[tuple[Connection, float]] = []

    def request(self, method: bytes, target: bytes, headers: RawHeaders) -> h11.Request:
        """Return the head of a request, with the target as it came."""
        target = self.address.path + target
        more: RawHeaders = []
        if self.proxy is not None and self._trust is None:
            # A proxy forwards what is not encrypted, and has to be told where to.
            target = self.address.origin.encode() + target
            more = [] if self.proxy.login is None else [(b"Proxy-Authorization", self.proxy.login)]
        return h11.Request(method=method, target=target, headers=[*headers, *more])

    async def connection(self) -> Connection:
        """Return an idle connection, or a new one.

        Raises:
            OSError: the server cannot be reached, or cannot prove that it is the one.
            h11.RemoteProtocolError: the proxy does not speak HTTP.
        """
        while self._idle:
            connection, since = self._idle.pop()
            if connection.is_idle and time.monotonic() - since < KEPT_S:
                return connection
            connection.abort()
        try:
            with anyio.fail_after(CONNECT_TIMEOUT_S):
                return await self._connected()
        except TimeoutError as error:
            raise TimeoutError(f"no connection within {CONNECT_TIMEOUT_S:.0f} s") from error

    def release(self, connection: Connection) -> None:
        """Keep a connection whose exchange is complete; cut any other."""
        if connection.is_idle:
            self._idle.append((connection, time.monotonic()))
        else:
            connection.abort()

    async def _connected(self) -> Connection:
        if self.proxy is None:
            return await connected(self.address, self._trust)
        to_proxy = await connected(self.proxy, self._trust if self.proxy.scheme == "https" else None)
        if self._trust is None:
            return to_proxy
        try:
            return await tunnelled(to_proxy, self.proxy.login, self.address, self._trust)
        except BaseException:
            to_proxy.abort()
            raise


def api_upstream(url: str, environ: Mapping[str, str]) -> Upstream:
    """Return the API at `url`, reached with the certificates and through the proxy that `environ` names.

    Raises:
        ConfigError: certificates or the proxy's address cannot be used.
    """
    address = address_of(url)
    return Upstream(address, trusted(environ) if address.scheme == "https" else None, proxy_for(address, environ))


def local_upstream(url: str) -> Upstream:
    """Return the local door at `url`; no proxy is ever between."""
    return Upstream(address_of(url))
