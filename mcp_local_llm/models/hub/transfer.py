"""One file from the hub into its partial file: continued where it stands, hashed on the way, verified at the end."""

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

import anyio.to_thread

from mcp_local_llm.models.hub.cache import RepositoryCache
from mcp_local_llm.models.hub.client import CHUNK_BYTES, HubClient
from mcp_local_llm.models.hub.repository import Digest, Repository, RepositoryFile
from mcp_local_llm.values.errors import BackendProtocolError, BackendUnavailableError, DownloadError
from mcp_local_llm.values.progress import Progress, ReportProgress


class Meter:
    """Owns the counts of one download."""

    def __init__(self, total: int, done: int, report: ReportProgress, clock: Callable[[], float]) -> None:
        self._total = total
        self._done = done
        self._report = report
        self._clock = clock
        self._fetched = 0
        self._marks = deque([(clock(), 0)])

    @property
    def fetched(self) -> int:
        """Bytes that came over the network."""
        return self._fetched

    def tell(self) -> None:
        """Report how things stand."""
        (then, before), (now, after) = self._marks[0], self._marks[-1]
        rate = (after - before) / (now - then) if now > then else None
        self._report(Progress("downloading", self._done, self._total, rate))

    def add(self, count: int) -> None:
        """Take bytes that arrived, and report."""
        self._done += count
        self._fetched += count
        now = self._clock()
        self._marks.append((now, self._fetched))
        while len(self._marks) > 2 and now - self._marks[1][0] > WINDOW_S:
            self._marks.popleft()
        self.tell()

    def take_back(self, count: int) -> None:
        """Forget bytes that were there and have to come again."""
        self._done -= count


class _Partial:
    """A partial file that is open, with the hash of all that is in it. Methods block; they run on a thread."""

    def __init__(self, path: Path, file: RepositoryFile) -> None:
        self._wanted = file
        self._path = path
        self._file = path.open("a+b")
        self._digest: Digest = file.digest()
        self.size = 0

    def take_stock(self) -> None:
        """Hash the next chunk of what an earlier run left; `size` stands still at the end."""
        self._file.seek(self.size)
        chunk = self._file.read(CHUNK_BYTES)
        self._digest.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        """Drop everything."""
        self._file.truncate(0)
        self._digest = self._wanted.digest()
        self.size = 0

    def append(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._file.write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)

    def seal(self) -> bool:
        """Bring everything to the disk and say whether it is what was announced; a damaged file is deleted."""
        sound = self._digest.hexdigest() == self._wanted.etag
        if sound:
            self._file.flush()
            os.fsync(self._file.fileno())
        else:
            self._path.unlink(missing_ok=True)
        return sound

    def close(self) -> None:
        """Close the file; what is in it stays."""
        self._file.close()


async def fetch_file(
    client: HubClient, repository: Repository, file: RepositoryFile, cache: RepositoryCache, meter: Meter
) -> None:
    """Bring one file into the cache, whole and verified, or raise.

    Cancelling stops between two chunks; the partial file stays and is continued by the next call.

    Raises:
        DownloadError: the content is not what the hub announced; it was deleted.
        BackendUnavailableError: the connection broke off; the partial file stays.
        BackendProtocolError: the hub sent something else than it was asked for.
    """
    partial = await anyio.to_thread.run_sync(_Partial, cache.partial(file), file)
    try:
        await _continue(client, repository, file, partial, meter)
        sound = await anyio.to_thread.run_sync(partial.seal)
    finally:
        partial.close()
    if not sound:
        meter.take_back(file.size)
        raise DownloadError(
            f"{file.name} of {repository.id} arrived damaged: its hash is not the one that the hub announced. "
            "It was deleted. Call again to fetch it anew."
        )
    cache.finish(file)


async def _continue(
    client: HubClient, repository: Repository, file: RepositoryFile, partial: _Partial, meter: Meter
) -> None:
    """Fill the partial file up to the announced size."""
    before = -1
    while before < partial.size <= file.size:
        before = partial.size
        await anyio.to_thread.run_sync(partial.take_stock)
    if partial.size > file.size:
        meter.take_back(file.size)
        partial.restart()
    if partial.size == file.size:
        return
    async with client.open(repository, file, partial.size) as (start, content):
        if start != partial.size:
            # A server without ranges sends the whole file again.
            if start:
                raise BackendProtocolError(f"The hub sent the wrong part of {file.name}. Call again.")
            meter.take_back(partial.size)
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


WINDOW_S = 10.0
"""Seconds over which the rate is taken: long enough to be steady, short enough to follow a change."""
