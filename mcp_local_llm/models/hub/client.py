"""Requests to the hub: the description of a repository, config.json, and a file from any byte on.

It translates the errors of the HTTP library and of the hub; the other modules of this package must not know the
library.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import Any, cast

import httpx

from mcp_local_llm import __version__
from mcp_local_llm.models.hub.access import HubAccess
from mcp_local_llm.models.hub.repository import Repository, RepositoryFile, read_repository
from mcp_local_llm.values.errors import (
    BackendProtocolError,
    BackendUnavailableError,
    DownloadError,
    LocalLLMError,
    UnknownModelError,
)

CHUNK_BYTES = 2**18
"""Bytes of one chunk: a download is cancelled between chunks, and an interruption loses less than one."""

MAX_JSON_BYTES = 32 * 2**20
"""The most bytes of the description of a repository."""

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0
"""The most seconds without data in the middle of a file."""


class HubClient:
    """Connections to one hub, as an async context manager."""

    def __init__(self, access: HubAccess) -> None:
        self._access = access
        token = access.read_token()
        self._has_token = token is not None
        # No compression, because sizes and ranges count the bytes of the uncompressed file.
        headers = {"User-Agent": f"mcp-local-llm/{__version__}", "Accept-Encoding": "identity"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        # Large files are redirected to another host; the library sends the token only to the first one.
        self._http = httpx.AsyncClient(
            headers=headers,
            follow_redirects=True,
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        )

    async def __aenter__(self) -> "HubClient":
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *failure: Any) -> None:
        await self._http.__aexit__(*failure)

    async def describe(self, name: str) -> Repository:
        """Request the files of a repository at its newest commit.

        Raises:
            UnknownModelError: there is no such repository, or it is private.
            DownloadError: it is gated, or its files cannot be fetched safely.
            IncompleteModelError: it holds no safetensors weights.
            BackendUnavailableError, BackendProtocolError: the hub does not answer, or its answer is not valid.
        """
        url = f"{self._access.endpoint}/api/models/{name}/revision/main"
        return read_repository(name, await self._json(name, url, {"blobs": "true"}))

    async def config(self, repository: Repository) -> dict[str, Any]:
        """Request config.json; return an empty dictionary for a repository without it.

        Raises:
            BackendUnavailableError, BackendProtocolError: as `describe`.
        """
        file = next((file for file in repository.files if file.name == "config.json"), None)
        if file is None:
            return {}
        value = await self._json(repository.id, self._url(repository, file), {})
        return cast(dict[str, Any], value) if isinstance(value, dict) else {}

    @asynccontextmanager
    async def open(
        self, repository: Repository, file: RepositoryFile, offset: int
    ) -> AsyncGenerator[tuple[int, AsyncIterator[bytes]]]:
        """Request a file from byte `offset` on; yield the first byte of the answer, and the content.

        Raises:
            LocalLLMError: as `describe`, now or while the content is read.
        """
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        with self._translating():
            async with self._http.stream("GET", self._url(repository, file), headers=headers) as response:
                await self._require_success(repository.id, response)
                start = _first_byte(response) if response.status_code == HTTPStatus.PARTIAL_CONTENT else 0
                yield start, response.aiter_bytes(CHUNK_BYTES)

    async def _json(self, name: str, url: str, query: dict[str, str]) -> object:
        with self._translating():
            async with self._http.stream("GET", url, params=query) as response:
                await self._require_success(name, response)
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_JSON_BYTES:
                        raise BackendProtocolError(f"The hub's answer about {name} is too long to be one.")
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise BackendProtocolError(
                f"{self._access.endpoint} answered about {name}, but not with JSON. Check HF_ENDPOINT."
            ) from error

    def _url(self, repository: Repository, file: RepositoryFile) -> str:
        return f"{self._access.endpoint}/{repository.id}/resolve/{repository.revision}/{file.name}"

    @contextmanager
    def _translating(self) -> Generator[None]:
        try:
            yield
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise BackendUnavailableError(
                f"{self._access.endpoint} cannot be reached or broke off ({reason}). Check the network, then call "
                "again: what was downloaded is kept and continued."
            ) from error

    async def _require_success(self, name: str, response: httpx.Response) -> None:
        if not response.is_success:
            raise self._refusal(name, response.status_code, response.headers.get("X-Error-Code", ""))

    def _refusal(self, name: str, status: int, code: str) -> LocalLLMError:
        """Return the error for a refusal of the hub; `code` is the hub's own error code."""
        page = f"{self._access.endpoint}/{name}"
        login = "The token that was sent is not enough." if self._has_token else "Then set HF_TOKEN to your token."
        match status, code:
            case ((401 | 403), "GatedRepo"):
                return DownloadError(f"{name} is gated: accept its terms at {page}. {login}")
            case (401, "RepoNotFound" | "") | (404, "RepoNotFound" | ""):
                private = f" If it is private: {login[0].lower()}{login[1:]}" if status == 401 else ""
                return UnknownModelError(f"The hub has no public repository {name}. Check the name at {page}.{private}")
            case 401, _:
                return DownloadError(f"The hub refuses the token for {name}. Make a new one and set HF_TOKEN.")
            case 403, _:
                return DownloadError(f"The hub forbids access to {name}: see {page}. {login}")
            case 404, _:
                return BackendProtocolError(f"A file of {name} is gone ({code}). Call again: the repository changed.")
            case 429, _:
                return BackendUnavailableError("The hub limits requests at the moment. Wait a few minutes, call again.")
            case _:
                return BackendUnavailableError(
                    f"The hub answered with status {status}. Call again later: what was downloaded is kept."
                )


def _first_byte(response: httpx.Response) -> int:
    """Return the first byte of a partial answer (`Content-Range: bytes 100-199/200`)."""
    start = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if not start.isdecimal():
        raise BackendProtocolError("The hub sent a part of a file without saying which. Call again.")
    return int(start)
