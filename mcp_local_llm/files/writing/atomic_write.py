"""Writes whole files: a reader sees the old or the new content, never half of it, and no swapped name leads elsewhere.

Every folder on the way is opened by its descriptor without following links, and the kernel is asked where the folder
is before the new file gets its name. A rename replaces a name, so a link or hard link put there is not written to.
"""

import errno
import os
import secrets
import stat
import unicodedata
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.files.access.roots import kernel_place
from mcp_local_llm.files.writing.targets import Target
from mcp_local_llm.values.errors import FileAccessError

TEMPORARY = ".mcp-local-llm-"
"""Beginning of the names of unfinished files; the number of the writing process follows."""

MAX_OLD_BYTES = 32 * 2**20
"""The largest file that an answer may replace; its old version has to be kept."""

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})
"""Errors of `link` where a file system has no hard links."""

Stamp = tuple[int, int, int, int]
"""Device, inode, bytes and time of change: two equal stamps are the same content."""


@dataclass(frozen=True)
class Previous:
    """The file that an answer replaces, as it was when the call began."""

    content: bytes
    mode: int
    owner: tuple[int, int]
    stamp: Stamp


def read_previous(target: Target) -> Previous | None:
    """Read the file that stands at a target, None where there is none.

    Raises:
        FileAccessError: it is a link, no regular file, too large, read-only or cannot be read.
    """
    with translated(target):
        try:
            with opened_folder(target) as folder:
                handle = os.open(
                    target.path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
                )
        except FileNotFoundError:
            return None
        with os.fdopen(handle, "rb") as file:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                raise FileAccessError(f"{target.path} is no regular file, and only those are written.", "special")
            if facts.st_size > MAX_OLD_BYTES:
                raise FileAccessError(
                    f"{target.path} has {facts.st_size:,} bytes; files of more than {MAX_OLD_BYTES:,} are not "
                    "replaced. Choose another path.",
                    "large",
                )
            if not facts.st_mode & 0o222 or not os.access(target.path, os.W_OK):
                raise FileAccessError(
                    f"{target.path} is read-only. Make it writable first, or choose another path.", "read-only"
                )
            content = file.read(MAX_OLD_BYTES + 1)
        return Previous(content, stat.S_IMODE(facts.st_mode), (facts.st_uid, facts.st_gid), _stamp(facts))


def write_whole(target: Target, content: bytes, previous: Previous | None, mode: int | None = None) -> None:
    """Write a file at once: a new one where `previous` is None, else in its place with its mode and owner.

    Args:
        target: the place, which `draft_target` checked.
        content: the whole content.
        previous: what `read_previous` found; the write is refused where the place has changed since.
        mode: mode of a new file; None for the user's default.

    Raises:
        FileAccessError: of kind `exists`, `changed`, `link`, `disk`, `read-only`, `name` or `write`; the place is then
            as it was.
    """
    with translated(target), opened_folder(target, create=previous is None) as folder:
        _remove_abandoned(folder)
        temporary = f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(6)}"
        try:
            _fill(folder, temporary, content, previous, mode)
            require_place(folder, target)
            if previous is None:
                _name_new(folder, temporary, target)
            else:
                _require_unchanged(folder, target, previous)
                os.replace(temporary, target.path.name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
        with suppress(OSError):  # The file has its name; some network disks sync no folders.
            os.fsync(folder)


@contextmanager
def opened_folder(target: Target, *, create: bool = False) -> Generator[int]:
    """Open the folder of a target from its root on, one name after the other, and follow no link.

    Args:
        target: a place that was checked.
        create: make the folders that are missing.

    Raises:
        OSError: a part is missing, or is a link or file now.
    """
    handle = os.open(target.root, _FOLDER_FLAGS)
    try:
        for name in target.relative.parts[:-1]:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=handle)
            below = os.open(name, _FOLDER_FLAGS, dir_fd=handle)
            os.close(handle)
            handle = below
        require_place(handle, target)
        yield handle
    finally:
        os.close(handle)


def require_place(folder: int, target: Target) -> None:
    """Ask the kernel where an open folder is.

    Raises:
        FileAccessError: it is not the target's folder; a name was exchanged.
    """
    if _comparable(kernel_place(folder)) != _comparable(target.path.parent):
        raise FileAccessError(
            f"{target.path}: its folder was moved or exchanged just now, so nothing was written. Call again.", "link"
        )


def write_all(handle: int, content: bytes) -> None:
    """Write every byte to a descriptor and onto the disk."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]
    os.fsync(handle)


@contextmanager
def translated(target: Target) -> Generator[None]:
    """Translate the errors of the operating system for the caller."""
    try:
        yield
    except OSError as error:
        kind, what = _explained(error)
        raise FileAccessError(f"{target.path} was not written: {what}", kind) from error


def _explained(error: OSError) -> tuple[str, str]:
    """Return kind and sentence."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return "disk", f"the disk or quota is full ({error.strerror}). Make room and call again."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "read-only", f"this user may not write there ({error.strerror}). Choose another path."
        case errno.ELOOP | errno.ENOTDIR:
            return "link", "a part of its path is a link or a file, and nothing is written through links."
        case errno.ENAMETOOLONG | errno.EILSEQ:
            return "name", f"the name does not do ({error.strerror}). Choose a shorter or simpler one."
        case errno.EEXIST:
            return "exists", "a file appeared there just now. Look at it, then call again."
        case _:
            return "write", f"{error.strerror or error}. Mend that or choose another path."


def _fill(folder: int, name: str, content: bytes, previous: Previous | None, mode: int | None) -> None:
    """Write a new file beside the target; nobody else may read it before its mode is known."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(name, flags, 0o666 if previous is None and mode is None else 0o600, dir_fd=folder)
    try:
        if previous is not None and previous.owner != (os.fstat(handle).st_uid, os.fstat(handle).st_gid):
            with suppress(PermissionError):  # Another user's file becomes this user's, as with any editor.
                os.fchown(handle, *previous.owner)
        if (wanted := mode if previous is None else previous.mode) is not None:
            os.fchmod(handle, wanted & 0o777)
        write_all(handle, content)
    finally:
        os.close(handle)


def _name_new(folder: int, temporary: str, target: Target) -> None:
    """Give the finished file its name, which must be free."""
    name = target.path.name
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError as error:
        raise FileAccessError(
            f"{target.path} was not written: a file appeared there just now. Look at it, then call again.", "exists"
        ) from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder))
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)


def _require_unchanged(folder: int, target: Target, previous: Previous) -> None:
    try:
        same = _stamp(os.stat(target.path.name, dir_fd=folder, follow_symlinks=False)) == previous.stamp
    except FileNotFoundError:
        same = False
    if not same:
        raise FileAccessError(
            f"{target.path} was not written: it was changed while the answer was made. Look at it, then call again.",
            "changed",
        )


def _remove_abandoned(folder: int) -> None:
    """Remove unfinished files of processes that were killed."""
    for name in os.listdir(folder):
        writer = name.removeprefix(TEMPORARY).partition("-")[0] if name.startswith(TEMPORARY) else ""
        if writer.isdecimal() and not _runs(int(writer)):
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _stamp(facts: os.stat_result) -> Stamp:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _comparable(path: Path) -> str:
    """Return a path in the form in which two names of one place are equal on macOS' disks, too."""
    return unicodedata.normalize("NFC", str(path)).casefold()
