"""One repository in the hub's cache: blobs named by their hash, and snapshots of links to them.

A blob appears under its name when it is whole and verified, a snapshot when all of its blobs are there, and `refs/main`
last. What is on its way is called `*.incomplete`, as `huggingface_hub` calls it, so every tool sees that it is.
"""

import fcntl
import os
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from mcp_local_llm.models.hub.repository import Repository, RepositoryFile
from mcp_local_llm.values.errors import BusyError


class RepositoryCache:
    """The folder of one repository at one commit."""

    def __init__(self, cache: Path, repository: Repository) -> None:
        name = f"models--{repository.id.replace('/', '--')}"
        self.folder = cache / name
        self.snapshot = self.folder / "snapshots" / repository.revision
        self._repository = repository
        self._lock = cache / ".locks" / name / "mcp-local-llm.lock"

    def blob(self, file: RepositoryFile) -> Path:
        """Return where the whole file lies."""
        return self.folder / "blobs" / file.etag

    def partial(self, file: RepositoryFile) -> Path:
        """Return where the file lies until it is whole; the name is always the same, so another run continues it."""
        return self.folder / "blobs" / f"{file.etag}.incomplete"

    def present(self, file: RepositoryFile) -> int:
        """Return how many bytes of the file are there."""
        return file.size if self.has(file) else min(_size(self.partial(file)), file.size)

    def has(self, file: RepositoryFile) -> bool:
        """Tell whether the whole file is there; it was verified when it got its name."""
        return self.blob(file).is_file() and _size(self.blob(file)) == file.size

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other processes of this program out; the kernel opens the lock again when this one dies.

        Raises:
            BusyError: another process downloads this repository.
        """
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with self._lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BusyError(
                    f"{self._repository.id} is being downloaded by another process. Wait for it, then call again."
                ) from error
            yield

    def announce(self, files: Iterable[RepositoryFile]) -> None:
        """Mark all files that are to come, so that whoever looks sees an unfinished model from the first moment."""
        (self.folder / "blobs").mkdir(parents=True, exist_ok=True)
        for file in files:
            self.partial(file).touch()

    def finish(self, file: RepositoryFile) -> None:
        """Give a verified file its name."""
        self.partial(file).replace(self.blob(file))

    def publish(self) -> None:
        """Make the snapshot visible in one step, then let `main` point to it; all blobs must be there.

        A snapshot that another tool began is completed in place, weights last.
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
            link, target = folder / file.name, os.path.relpath(self.blob(file), folder)
            if link.is_symlink() and os.readlink(link) == target:
                continue
            link.unlink(missing_ok=True)
            link.symlink_to(target)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
