"""Downloads repositories: requests the list of files, downloads the missing ones, and publishes the snapshot."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import anyio

from mcp_local_llm.models.hub.access import HubAccess
from mcp_local_llm.models.hub.cache import RepositoryCache
from mcp_local_llm.models.hub.meter import TransferMeter
from mcp_local_llm.models.hub.repository import Repository, RepositoryFile
from mcp_local_llm.values.errors import BackendUnavailableError, DownloadError
from mcp_local_llm.values.model import human_bytes
from mcp_local_llm.values.progress import Progress, ReportProgress

FILES_AT_ONCE = 4
"""Files that are downloaded side by side; one connection often brings less than the line can carry."""

SPARE_BYTES = 500 * 10**6
"""Bytes of disk space that a download leaves free for other programs."""


def free_space(folder: Path) -> int:
    """Return the free bytes on the disk of a folder, which need not exist yet."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free


class Hub:
    """Downloads repositories, one at a time."""

    def __init__(
        self,
        access: HubAccess,
        *,
        free: Callable[[Path], int] = free_space,
        pauses: tuple[float, ...] = (1.0, 2.0, 4.0),
    ) -> None:
        """Make a hub; `pauses` are the seconds before each new attempt after a lost connection."""
        self._access = access
        self._free = free
        self._pauses = pauses
        self._turn = anyio.Lock()

    async def describe(self, name: str) -> Repository:
        """Request the description of a repository; writes nothing.

        Raises:
            UnknownModelError: there is no such repository, or it is private.
            IncompleteModelError: it holds no safetensors weights.
            DownloadError: it is gated, or its files cannot be fetched safely.
            BackendUnavailableError: the user forbids the network, or the hub does not answer.
            BackendProtocolError: the answer is not valid.
        """
        # Imported here: a server that downloads nothing needs no HTTP client.
        from mcp_local_llm.models.hub.client import HubClient

        self._require_online(name)
        async with HubClient(self._access) as client:
            repository = await client.describe(name)
            return replace(repository, config=await client.config(repository))

    async def fetch(self, repository: Repository, report: ReportProgress) -> int:
        """Download all files of a repository into the cache; keep complete files, continue partial ones.

        Cancelling stops within a chunk and keeps partial files. The snapshot appears after all files are verified.

        Returns:
            Number of downloaded bytes.

        Raises:
            DownloadError: the disk is too small, a file arrived damaged, or cannot be written.
            BusyError: another process downloads the same repository.
            LocalLLMError: as `describe`.
        """
        self._require_online(repository.id)
        if self._turn.statistics().locked:
            report(Progress("queued", 1))
        async with self._turn:
            cache = RepositoryCache(self._access.cache, repository)
            try:
                with cache.locked():
                    return await self._fetch(repository, cache, report)
            except OSError as error:
                reason = error.strerror or str(error)
                raise DownloadError(f"{repository.id} cannot be written to {cache.folder}: {reason}.") from error

    def _require_space(self, repository: Repository, missing: int) -> None:
        """Refuse a download of `missing` bytes that the disk has no space for."""
        free = self._free(self._access.cache)
        if missing and missing + SPARE_BYTES > free:
            raise DownloadError(
                f"{repository.id} needs {human_bytes(missing)} more on the disk of {self._access.cache}, where "
                f"{human_bytes(free)} are free ({human_bytes(SPARE_BYTES)} stay free). Make room, or set HF_HUB_CACHE "
                "to another disk."
            )

    async def _fetch(self, repository: Repository, cache: RepositoryCache, report: ReportProgress) -> int:
        there = sum(cache.present(file) for file in repository.files)
        self._require_space(repository, repository.size - there)
        missing = [file for file in repository.files if not cache.has(file)]
        meter = TransferMeter(repository.size, there, report)
        meter.report()
        cache.create_partials(missing)
        await self._fetch_files(repository, missing, cache, meter)
        cache.publish()
        return meter.fetched

    async def _fetch_files(
        self, repository: Repository, files: Sequence[RepositoryFile], cache: RepositoryCache, meter: TransferMeter
    ) -> None:
        """Download files side by side; after an error, the others stop and keep their partial files."""
        waiting, failures = iter(files), list[Exception]()

        async def fetch(scope: anyio.CancelScope) -> None:
            for file in waiting:
                try:
                    await self._fetch_file(repository, file, cache, meter)
                except Exception as error:
                    # The edge of one task: a task group would wrap the error, which callers handle by its class.
                    failures.append(error)
                    scope.cancel()
                    return

        async with anyio.create_task_group() as group:
            for _ in range(min(FILES_AT_ONCE, len(files))):
                group.start_soon(fetch, group.cancel_scope)
        if failures:
            raise failures[0]

    async def _fetch_file(
        self, repository: Repository, file: RepositoryFile, cache: RepositoryCache, meter: TransferMeter
    ) -> None:
        """Download one file; after a lost connection try again, unless several attempts brought no data."""
        from mcp_local_llm.models.hub.client import HubClient
        from mcp_local_llm.models.hub.transfer import fetch_file

        failures = 0
        while True:
            before = meter.fetched
            try:
                async with HubClient(self._access) as client:
                    return await fetch_file(client, repository, file, cache, meter)
            except BackendUnavailableError:
                failures = failures + 1 if meter.fetched == before else 1
                if failures > len(self._pauses):
                    raise
            await anyio.sleep(self._pauses[failures - 1])

    def _require_online(self, name: str) -> None:
        if self._access.offline:
            raise BackendUnavailableError(
                f"{name} is not on this machine, and HF_HUB_OFFLINE keeps it off the network: unset it to download."
            )
