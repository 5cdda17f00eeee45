"""Opens a file inside the roots so that a name that is swapped meanwhile wins nothing.

A path is resolved and checked, opened without following a link, and the descriptor is asked where it is; that place is
checked again before a byte is read. It must not know what is done with the bytes.
"""

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from mcp_local_llm.files.access.roots import Roots, in_system_folder, place_of
from mcp_local_llm.files.access.secrets import KEY_BYTES, SecretRules, holds_private_key
from mcp_local_llm.files.reading.file_text import shown
from mcp_local_llm.values.errors import FileAccessError

MAX_FILE_BYTES = 2_000_000
"""The longest file that is read."""

TRIES = 4
"""How often a file that is replaced while it is opened is looked for again; editors replace a file to save it."""

_GONE = " (deleted)"


@dataclass(frozen=True)
class Gate:
    """Decides which files may be read: those inside the roots that are no secrets."""

    roots: Roots
    secrets: SecretRules = field(default_factory=SecretRules)

    def check(self, path: Path, name: str) -> None:
        """Refuse an absolute path, as it is written, by its place and its name. `name` is what the caller wrote.

        Raises:
            FileAccessError: of kind `special`, `outside`, `denied` or `secret`.
        """
        told = shown(name)
        if in_system_folder(path):
            raise FileAccessError(f"{told} lies in a folder of the kernel, which is never read.", "special")
        root = self.roots.root_of(path)
        if root is None:
            remedy = "Name a file inside, or let the user add its folder to the setting `roots`."
            raise FileAccessError(
                f"{told} is outside the folders that may be read. {self.roots.told()} {remedy}", "outside"
            )
        self._check_denied(path, told)
        if self.secrets.is_secret(path, root):
            raise FileAccessError(
                f"{told} is not read, because its name is one of a file with secrets. Leave it out; if it holds none, "
                "the user can name it in the setting `allow`.",
                "secret",
            )

    def is_secret(self, path: Path) -> bool:
        """Whether an absolute path inside the roots is a secret by its name, or is forbidden by the agent's rules."""
        root = self.roots.root_of(path)
        return self.secrets.denies(path) is not None or (root is not None and self.secrets.is_secret(path, root))

    def _check_denied(self, path: Path, told: str) -> None:
        if (rule := self.secrets.denies(path)) is not None:
            raise FileAccessError(
                f"{told} may not be read: a `permissions.deny` rule in {rule} forbids it. Leave it out.", "denied"
            )

    def read(self, path: Path, name: str) -> tuple[bytes, Path]:
        """Return the bytes of a file and where it really is.

        Args:
            path: absolute, links allowed.
            name: what the caller wrote, for messages.

        Raises:
            FileAccessError: with the reason as its kind.
        """
        for _ in range(TRIES):
            real = self._resolved(path, name)
            content = None if real is None else self._opened(real, name)
            if real is not None and content is not None:
                self._check_key(content, real, name)
                return content, real
        raise FileAccessError(f"{shown(name)} was replaced each time it was opened. Try again.", "changed")

    def _resolved(self, path: Path, name: str) -> Path | None:
        """Resolve links and check both spellings; None where a link was replaced meanwhile.

        What lies outside is refused whether it exists or not.
        """
        written = Path(os.path.normpath(path))
        failure: OSError | None = None
        try:
            try:
                real = Path(os.path.realpath(path, strict=True))
            except OSError as error:
                real, failure = Path(os.path.realpath(path)), error
        except OSError:  # it was a link when it was looked at, and none when it was read
            return None
        if written != real and (in_system_folder(written) or self.roots.root_of(written) is not None):
            self.check(written, name)
        self.check(real, name)
        self._check_denied(written, shown(name))
        if isinstance(failure, FileNotFoundError):
            told = f"There is no file {shown(name)} in {self.roots.root_of(real)}. Check the name."
            raise FileAccessError(told, "missing") from failure
        if failure is not None and failure.errno != errno.EINVAL:
            raise refusal(failure, name) from failure
        return real if failure is None else None

    def _opened(self, real: Path, name: str) -> bytes | None:
        """Read a resolved path; None where something else was put into its place meanwhile."""
        try:
            _require_regular(os.lstat(real), name)  # opening a device may do something
            # Without O_NONBLOCK, opening a FIFO waits for a writer; without O_NOCTTY, a terminal becomes controlling.
            handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOENT, errno.ENOTDIR, errno.EMLINK):
                return None
            raise refusal(error, name) from error
        try:
            found = os.fstat(handle)
            place = _place_of(handle, found)
            if place is None:
                return None
            if place != real:  # which is checked
                self.check(place, name)
            _require_regular(found, name)
            if found.st_size > MAX_FILE_BYTES:
                raise _too_large(name, found.st_size)
            return _content(handle, name)
        finally:
            os.close(handle)

    def _check_key(self, content: bytes, real: Path, name: str) -> None:
        root = self.roots.root_of(real)
        if holds_private_key(content[:KEY_BYTES]) and not (root is not None and self.secrets.allows(real, root)):
            raise FileAccessError(
                f"{shown(name)} is not read, because a private key begins in it. Leave it out; if the key is an "
                "example, the user can name the file in the setting `allow`.",
                "secret",
            )


def refusal(error: OSError, name: str) -> FileAccessError:
    """Translate an error of the system."""
    told = shown(name)
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return FileAccessError(f"There is no file {told}. Check the name.", "missing")
        case errno.ELOOP:
            return FileAccessError(f"{told} is a link that leads back to itself. Name the file.", "missing")
        case errno.ENAMETOOLONG:
            return FileAccessError(f"There is no file {told[:80]}…: the name is too long.", "missing")
        case errno.ENXIO | errno.EOPNOTSUPP | errno.ENODEV:
            return FileAccessError(f"{told} is no regular file (a socket or a device). Leave it out.", "special")
        case errno.EACCES | errno.EPERM:
            return FileAccessError(
                f"{told} cannot be read: this user may not. Change its mode, or leave it out.", "unreadable"
            )
        case _:
            return FileAccessError(f"{told} cannot be read: {error.strerror}.", "unreadable")


def _require_regular(found: os.stat_result, name: str) -> None:
    if stat.S_ISLNK(found.st_mode):
        return  # it was put there after the path was resolved; opening it fails
    if stat.S_ISDIR(found.st_mode):
        told = shown(name).rstrip("/") or "/"
        raise FileAccessError(f"{told} is a folder. Name its files, or a pattern such as {told}/**/*.py.", "folder")
    if not stat.S_ISREG(found.st_mode):
        raise FileAccessError(
            f"{shown(name)} is no regular file (a FIFO, a socket or a device). Leave it out.", "special"
        )


def _content(handle: int, name: str) -> bytes:
    """Read a whole file; it may have grown, so one byte more than is allowed is asked for."""
    try:
        with open(handle, "rb", closefd=False) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise refusal(error, name) from error
    if len(content) > MAX_FILE_BYTES:
        raise _too_large(name, os.fstat(handle).st_size)
    return content


def _too_large(name: str, size: int) -> FileAccessError:
    return FileAccessError(
        f"{shown(name)} has {size:,} bytes; a file may have at most {MAX_FILE_BYTES:,}. "
        "Cut out what matters into a smaller file, or search it with another tool.",
        "too_large",
    )


def _place_of(handle: int, found: os.stat_result) -> Path | None:
    """Ask the kernel where an open file is; None where it is nowhere any more, or the kernel does not tell."""
    place = place_of(handle)
    try:
        # Linux says so of a file that was removed; a file may also be called so.
        removed = place is not None and place.name.endswith(_GONE) and not os.path.samestat(place.lstat(), found)
    except OSError:
        return None
    return None if removed else place
