"""Keep this process's limit of open files while mlx-lm is imported.

`mlx_lm.utils` calls `setrlimit(RLIMIT_NOFILE, (2048, 4096))` at import: that fails where the hard limit is lower, so
that the module cannot be imported at all, and lowers both limits where they are higher.
"""

import contextlib
import resource
from collections.abc import Callable, Generator

WANTED = 2048
"""Open files that mlx-lm asks for: a large model has many."""


@contextlib.contextmanager
def file_limit_kept() -> Generator[None]:
    """Let imports in the block raise the soft limit up to `WANTED`, and leave the limit unchanged otherwise."""
    original = resource.setrlimit

    def guarded(kind: int, limits: tuple[int, int]) -> None:
        if kind == resource.RLIMIT_NOFILE:
            _raise(original)
        else:
            original(kind, limits)

    resource.setrlimit = guarded
    try:
        yield
    finally:
        resource.setrlimit = original


def _raise(set_limit: Callable[[int, tuple[int, int]], None]) -> None:
    """Raise the soft limit of open files to `WANTED`, as far as the hard limit allows; never lower it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = WANTED if hard == unlimited else min(WANTED, hard)
    if soft != unlimited and soft < wanted:
        # Some systems have a lower limit besides the hard one; then the present limit stays.
        with contextlib.suppress(ValueError, OSError):
            set_limit(resource.RLIMIT_NOFILE, (wanted, hard))
