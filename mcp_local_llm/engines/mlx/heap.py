"""The C library's heap: large pieces kept out of it, and free pages returned to the system.

Both are functions of glibc's; other C libraries do not have them, and nothing happens there.
"""

import ctypes

MAPPED_BYTES = 2**17
"""glibc maps allocations from this size on by themselves, so that freeing returns them to the system. Its own default,
until it raises it."""

M_MMAP_THRESHOLD = -3
"""Parameter of `mallopt`; glibc's malloc.h."""


def map_large_pieces() -> None:
    """Keep large pieces out of the heap.

    glibc raises the bound by itself, up to 32 MB, with each piece that is freed, and then weights and KV caches lie
    between small pieces that stay: measured, 37 of the 54 MB that a model of 0.5B left behind.
    """
    _tell_libc("mallopt", M_MMAP_THRESHOLD, MAPPED_BYTES)


def trim() -> None:
    """Return free pages to the system.

    glibc keeps what was freed in pieces below 32 MB: measured, 300 of the 309 MB of a model stayed with the process.
    """
    _tell_libc("malloc_trim", 0)


def _tell_libc(function: str, *numbers: int) -> None:
    call = getattr(ctypes.CDLL(None), function, None)
    if call is not None:
        call(*numbers)
