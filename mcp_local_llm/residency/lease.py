"""The lease: the right of one process of this user to load models, as a lock file that the kernel unlocks when it ends.

It must not know models, engines or protocols.
"""

import contextlib
import fcntl
import json
import os
import platform
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mcp_local_llm.setup.places import LOCK, SOCKET, runtime_folder
from mcp_local_llm.setup.regular_file import open_lock_file, read_regular
from mcp_local_llm.values.errors import ConfigError

MAX_BYTES = 4096
"""The most bytes of the lock file; the name of an owner takes a few dozen."""


@dataclass(frozen=True)
class LeaseOwner:
    """The process that owns the lease, and its version of this package."""

    pid: int
    version: str


class Lease:
    """One process's view of the lease in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle: int | None = None

    @property
    def folder(self) -> Path:
        """The folder of the lock file and the socket."""
        return self._folder

    @property
    def socket(self) -> Path:
        """Path of the lease owner's socket."""
        return self._folder / SOCKET

    @property
    def held(self) -> bool:
        """Whether this process owns the lease."""
        return self._handle is not None

    def take(self, version: str) -> bool:
        """Take the lease if it is free; return whether this process owns it now.

        Raises:
            ConfigError: the folder or a file in it cannot be used; the lease stays free.
        """
        if self.held:
            return True
        self._prepare()
        try:
            handle = open_lock_file(self._folder / LOCK)
        except OSError as error:
            raise self._unusable(LOCK, error.strerror) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        except OSError as error:
            os.close(handle)
            raise self._unusable(LOCK, error) from error
        try:
            # A socket that is still here is left over: its process would hold the lock.
            self._remove_socket()
        except ConfigError:
            os.close(handle)
            raise
        # The content only names the owner in messages, so a full disk must not stop the session.
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(asdict(LeaseOwner(os.getpid(), version))).encode(), 0)
        self._handle = handle
        return True

    def _remove_socket(self) -> None:
        try:
            self.socket.unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable(SOCKET, error) from error

    def _unusable(self, name: str, reason: object) -> ConfigError:
        return ConfigError(f"{self._folder / name} cannot be used: {reason}. Remove it, or free space on its disk.")

    def renew(self, version: str) -> bool:
        """Take the lease again where a file of it was replaced; return whether this process still owns it.

        Then no socket is there, as after `take`.

        Raises:
            ConfigError: as `take`; this process owns the lease as before.
        """
        if self.intact:
            self._remove_socket()
            return True
        before, self._handle = self._handle, None
        try:
            taken = self.take(version)
        except ConfigError:
            self._handle = before
            raise
        if before is not None:
            os.close(before)
        return taken

    @property
    def intact(self) -> bool:
        """Whether the lock file of this owner has its place, so that no other process can take the lease."""
        try:
            return self._handle is not None and os.path.samestat((self._folder / LOCK).lstat(), os.fstat(self._handle))
        except OSError:
            return False

    def elsewhere(self) -> bool:
        """Return whether another process owns the lease at this moment."""
        if self.held:
            return False
        try:
            handle = os.open(self._folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            # A shared lock, so that two processes that check at once do not take each other for the owner.
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def release(self) -> None:
        """Release the lease. The lock file stays, since two processes could lock a removed file and its successor."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                if self.intact:  # Else the socket is that of another process.
                    self.socket.unlink(missing_ok=True)
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None

    def owner(self) -> LeaseOwner | None:
        """Return the owner that the lock file names; None for an empty file or one that is being written."""
        try:
            value = json.loads(read_regular(self._folder / LOCK, MAX_BYTES))
            return LeaseOwner(int(value["pid"]), str(value["version"]))
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None

    def inspect(self) -> None:
        """Check the folder as `take` does, without a change; a missing folder must be possible to make.

        Raises:
            ConfigError: as `take`.
        """
        try:
            self._refuse_foreign(self._folder.lstat())
        except FileNotFoundError:
            above = next(folder for folder in self._folder.parents if folder.exists())
            if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
                raise self._cannot_be_made(f"{above} cannot be written to") from None
        except OSError as error:
            raise self._cannot_be_made(error) from error

    def _prepare(self) -> None:
        """Make the folder; refuse one that another user could have made or can enter."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self._folder.lstat()
        except OSError as error:
            raise self._cannot_be_made(error) from error
        self._refuse_foreign(status)

    def _cannot_be_made(self, reason: object) -> ConfigError:
        return ConfigError(f"{self._folder} cannot be made: {reason}. Set XDG_RUNTIME_DIR to a private folder.")

    def _refuse_foreign(self, status: os.stat_result) -> None:
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise ConfigError(
                f"{self._folder} is not a folder of this user. Remove it, or set XDG_RUNTIME_DIR to a private folder."
            )
        if status.st_mode & 0o077:
            # Changing the mode here would not remove files of other users, so the user must check the folder first.
            raise ConfigError(
                f"{self._folder} is open to other users. Look what is in it, then run `chmod 700 {self._folder}`."
            )


def lease_of_user(environ: Mapping[str, str], home: Path) -> Lease:
    """Return the lease of this user, for this process."""
    return Lease(runtime_folder(environ, home, system=platform.system(), uid=os.getuid()))
