"""One repository in the hub's cache: blobs named by their hash, and snapshots of links to them.

A blob gets its name when it is complete and verified, a snapshot when all of its blobs are complete, and `refs/main` is
written last. Partial files are called `*.incomplete`, as in `huggingface_hub`, so that other tools recognize them.
"""

import fcntl
import os
import shutil
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from mcp_local_llm.models.hub.repository import Repository, RepositoryFile
from mcp_local_llm.setup.regular_file import open_lock_file
from mcp_local_llm.values.errors import BusyError


class RepositoryCache:
    """The folder of one repository at one commit."""

    def __init__(self, cache: Path, repository: Repository) -> None:
        name = f"models--{repository.id.replace('/', '--')}"
        self.folder = cache / name
        self.snapshot = self.folder / "snapshots" / repository.revision
        self._repository = repository

    def blob(self, file: RepositoryFile) -> Path:
        """Return the path of the complete file."""
        return self.folder / "blobs" / file.etag

    def partial(self, file: RepositoryFile) -> Path:
        """Return the path of the partial file; its name is always the same, so that another run continues it."""
        return self.folder / "blobs" / f"{file.etag}.incomplete"

    def present(self, file: RepositoryFile) -> int:
        """Return the number of bytes of the file in the cache."""
        return file.size if self.has(file) else min(_size(self.partial(file)), file.size)

    def has(self, file: RepositoryFile) -> bool:
        """Return whether the complete file is in the cache; it was verified before it got its name."""
        return self.blob(file).is_file() and _size(self.blob(file)) == file.size

    def locked(self) -> AbstractContextManager[None]:
        """Lock the repository for this process; see `repository_lock`."""
        return repository_lock(self.folder.parent, self.folder.name, self._repository.id)

    def create_partials(self, files: Iterable[RepositoryFile]) -> None:
        """Create all partial files, so that other tools see an incomplete model from the beginning."""
        (self.folder / "blobs").mkdir(parents=True, exist_ok=True)
        for file in files:
            self.partial(file).touch()

    def finish(self, file: RepositoryFile) -> None:
        """Rename a verified partial file to its blob."""
        self.partial(file).replace(self.blob(file))

    def publish(self) -> None:
        """Create the snapshot in one step, then update `refs/main`; all blobs must be complete.

        A snapshot that another tool created is completed in place, weights last.
        """
        if self.snapshot.exists():
            self._link_into(self.snapshot)
        else:
            staging = self.snapshot.with_name(f".{self.snapshot.name}.staging")
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(parents=True)
            self._link_into(staging)
            staging.rename(self.snapshot)
        reference = self.folder / "refs" / "main"
        reference.parent.mkdir(parents=True, exist_ok=True)
        fresh = reference.with_name(".main.new")
        fresh.write_text(self._repository.revision, encoding="utf-8")
        fresh.replace(reference)

    def _link_into(self, folder: Path) -> None:
        for file in self._repository.files:
            link = folder / file.name
            target = os.path.relpath(self.blob(file), link.parent)
            link.parent.mkdir(exist_ok=True)
            if link.is_symlink() and os.readlink(link) == target:
                continue
            link.unlink(missing_ok=True)
            link.symlink_to(target)


@contextmanager
def repository_lock(cache: Path, name: str, shown: str) -> Generator[None]:
    """Lock a repository for this process; the kernel unlocks it when the process ends.

    Args:
        cache: the hub's cache.
        name: of the repository's folder in it.
        shown: the repository's name for messages.

    Raises:
        BusyError: another process downloads into this repository, or removes it.
    """
    lock = cache / ".locks" / name / "mcp-local-llm.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(open_lock_file(lock), "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"{shown} is being downloaded by another process. Wait for it, then call again.") from error
        yield


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
