"""Downloads one file: continues its partial file, computes the hash, and verifies it at the end."""

import os
from pathlib import Path

import anyio.to_thread

from mcp_local_llm.models.hub.cache import RepositoryCache
from mcp_local_llm.models.hub.client import CHUNK_BYTES, HubClient
from mcp_local_llm.models.hub.meter import TransferMeter
from mcp_local_llm.models.hub.repository import Repository, RepositoryFile
from mcp_local_llm.values.errors import BackendProtocolError, BackendUnavailableError, DownloadError


class _PartialFile:
    """An open partial file, with the hash of its content. Its methods block, so they run on a thread."""

    def __init__(self, path: Path, file: RepositoryFile) -> None:
        self._wanted = file
        self._path = path
        self._file = path.open("a+b")
        self._digest = file.digest()
        self.size = 0

    def hash_next_chunk(self) -> None:
        """Hash the next chunk of the content of an earlier run; `size` stays the same at the end."""
        self._file.seek(self.size)
        chunk = self._file.read(CHUNK_BYTES)
        self._digest.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        """Remove all content."""
        self._file.truncate(0)
        self._digest = self._wanted.digest()
        self.size = 0

    def append(self, chunk: bytes) -> None:
        """Write the next bytes."""
        self._file.write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)

    def verify(self) -> bool:
        """Return whether the hash is right; write a right file to the disk, delete a damaged one."""
        sound = self._digest.hexdigest() == self._wanted.etag
        if sound:
            self._file.flush()
            os.fsync(self._file.fileno())
        else:
            self._path.unlink(missing_ok=True)
        return sound

    def close(self) -> None:
        """Close the file and keep its content."""
        self._file.close()


async def fetch_file(
    client: HubClient, repository: Repository, file: RepositoryFile, cache: RepositoryCache, meter: TransferMeter
) -> None:
    """Download one file into the cache and verify it.

    Cancelling stops between two chunks; the partial file stays and is continued by the next call.

    Raises:
        DownloadError: the hash is wrong; the file was deleted.
        BackendUnavailableError: the connection was lost; the partial file stays.
        BackendProtocolError: the hub sent another part of the file.
    """
    partial = await anyio.to_thread.run_sync(_PartialFile, cache.partial(file), file)
    try:
        await _continue(client, repository, file, partial, meter)
        sound = await anyio.to_thread.run_sync(partial.verify)
    finally:
        partial.close()
    if not sound:
        meter.discard(file.size)
        raise DownloadError(
            f"{file.name} of {repository.id} arrived damaged: its hash is not the one that the hub announced. "
            "It was deleted. Call again to fetch it anew."
        )
    cache.finish(file)


async def _continue(
    client: HubClient, repository: Repository, file: RepositoryFile, partial: _PartialFile, meter: TransferMeter
) -> None:
    """Download the rest of the partial file."""
    before = -1
    while before < partial.size <= file.size:
        before = partial.size
        await anyio.to_thread.run_sync(partial.hash_next_chunk)
    if partial.size > file.size:
        meter.discard(file.size)
        partial.restart()
    if partial.size == file.size:
        return
    async with client.open(repository, file, partial.size) as (start, content):
        if start != partial.size:
            # A server without ranges sends the whole file again.
            if start:
                raise BackendProtocolError(f"The hub sent the wrong part of {file.name}. Call again.")
            meter.discard(partial.size)
            partial.restart()
        async for chunk in content:
            if partial.size + len(chunk) > file.size:
                raise BackendProtocolError(f"The hub sent more of {file.name} than it announced. Call again.")
            await anyio.to_thread.run_sync(partial.append, chunk)
            meter.add(len(chunk))
    if partial.size < file.size:
        raise BackendUnavailableError(
            f"{file.name} broke off after {partial.size:,} of {file.size:,} bytes. Call again: it is continued."
        )
