"""Sends requests to one server over httpx, and translates its exceptions. It must not know chats.

A connection is opened for each request and closed with it: closing tells the server that the request was cancelled, and
an idle connection that the server has dropped would fail the next call.
"""

import contextlib
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import anyio
import anyio.to_thread
import httpx

from mcp_local_llm import __version__
from mcp_local_llm.engines.http.api_key import read_key
from mcp_local_llm.engines.http.failures import EndpointErrors
from mcp_local_llm.values.call import current_call
from mcp_local_llm.values.endpoint import Endpoint
from mcp_local_llm.wire.json_values import encodable

CONNECT_TIMEOUT_S = 5.0
"""Seconds until a machine that does not answer counts as unreachable."""
MAX_BODY = 8 * 2**20
"""Bytes of an answer that is not a stream."""


@dataclass(frozen=True)
class HttpResponse:
    """A response whose status and headers have arrived; its body is read on demand."""

    status: int
    headers: Mapping[str, str]
    _response: httpx.Response
    _failures: EndpointErrors

    @property
    def streams(self) -> bool:
        """Whether the body is a stream of events."""
        return "text/event-stream" in self.headers.get("content-type", "")

    def chunks(self) -> AsyncIterator[bytes]:
        """Return the body as it arrives."""
        return self._response.aiter_bytes()

    async def body(self) -> bytes:
        """Read the whole body.

        Raises:
            BackendProtocolError: it is larger than `MAX_BODY`.
        """
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > MAX_BODY:
                raise self._failures.garbage(f"an answer of more than {MAX_BODY} bytes")
            parts.append(chunk)
        return b"".join(parts)


class Connection:
    """Sends requests to one endpoint."""

    def __init__(self, endpoint: Endpoint, environ: Mapping[str, str]) -> None:
        self.endpoint = endpoint
        self._environ = environ
        self._key: str | None = None

    def errors(self, model_id: str = "") -> EndpointErrors:
        """Return the error factory for a call to `model_id`."""
        return EndpointErrors(self.endpoint, model_id, lambda: self._key)

    @asynccontextmanager
    async def post(self, path: str, body: Mapping[str, Any], errors: EndpointErrors) -> AsyncGenerator[HttpResponse]:
        """Send `body` as JSON; leaving the block closes the connection, whatever is still to come.

        Raises:
            BackendUnavailableError: not reachable, silent for too long, or gone in the middle of its answer.
            BackendProtocolError: not HTTP.
            ConfigError: this process lacks the key, or the URL cannot be used.
        """
        content = encodable(json.dumps(body, ensure_ascii=False)).encode()
        async with self._sent("POST", path, content, self.endpoint.read_timeout_s, errors) as response:
            yield response

    async def get(self, path: str, timeout_s: float, errors: EndpointErrors) -> tuple[HttpResponse, bytes]:
        """Fetch `path` with its whole body, which may take `timeout_s` seconds. Raises as `post`."""
        try:
            with anyio.fail_after(timeout_s):
                async with self._sent("GET", path, None, timeout_s, errors) as response:
                    return response, await response.body()
        except TimeoutError as error:
            raise errors.silent(timeout_s) from error

    @asynccontextmanager
    async def _sent(
        self, method: str, path: str, content: bytes | None, silence_s: float | None, errors: EndpointErrors
    ) -> AsyncGenerator[HttpResponse]:
        url = self.endpoint.url + path
        headers = await self._headers()
        connect_s = CONNECT_TIMEOUT_S if silence_s is None else min(CONNECT_TIMEOUT_S, silence_s)
        timeout = httpx.Timeout(silence_s, connect=connect_s)
        transport = httpx.AsyncHTTPTransport(verify=self._trust)
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(translated(errors, silence_s))
            # No proxy and no .netrc of the environment: what is sent goes to this address and carries this key only.
            client = httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False, follow_redirects=False)
            await stack.enter_async_context(client)
            response = await stack.enter_async_context(client.stream(method, url, content=content, headers=headers))
            yield HttpResponse(response.status_code, response.headers, response, errors)

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """The certificates to trust: the usual ones for https; none for http, whose context is never used.

        httpx would make one for each request, and even an empty one takes 5 to 15 ms: longer than a short request to
        a machine nearby.
        """
        https = self.endpoint.url.startswith("https:")
        return httpx.create_ssl_context() if https else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    async def _headers(self) -> dict[str, str]:
        headers = {
            "Accept": "text/event-stream, application/json",
            # A proxy that compresses a stream holds it back.
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": f"mcp-local-llm/{__version__}",
        }
        # Only to a server of ours, which logs it: no other one need know which requests belong together.
        if self.endpoint.flavor == "mcp-local-llm" and (call := current_call()) is not None:
            headers["X-Request-Id"] = call.id
        self._key = await self._read_key()
        return headers if self._key is None else {**headers, "Authorization": f"Bearer {self._key}"}

    async def _read_key(self) -> str | None:
        if self.endpoint.api_key_file is None:
            return read_key(self.endpoint, self._environ)
        # On a thread: the file may lie on a disk that does not answer.
        return await anyio.to_thread.run_sync(read_key, self.endpoint, self._environ, abandon_on_cancel=True)


@contextlib.contextmanager
def translated(errors: EndpointErrors, silence_s: float | None) -> Generator[None]:
    """Translate every exception of httpx."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
        raise errors.unreachable(str(error)) from error
    except httpx.TimeoutException as error:
        raise errors.silent(silence_s) from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise errors.address(str(error)) from error
    except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
        raise errors.cut(str(error)) from error
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise errors.garbage(f"something that is not HTTP ({error})") from error
