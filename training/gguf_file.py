"""GGUF, llama.cpp's file format: facts, then tensors (github.com/ggml-org/ggml, docs/gguf.md). Knows no model."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

FLOAT32, Q4_1 = 0, 3
"""Types of tensors (ggml.h, enum ggml_type)."""
ALL_FLOAT32, MOSTLY_Q4_1 = 0, 3
"""Values of `general.file_type` (llama.h, enum llama_ftype)."""
ALIGNMENT = 32
"""Bytes; a reader takes it for granted where no fact says otherwise."""

_VERSION = 3
_INT32, _UINT32, _FLOAT32_FACT, _BOOL, _STRING, _ARRAY = 5, 4, 6, 7, 8, 9


@dataclass(frozen=True)
class Tensor:
    """A weight on its way into the file.

    Attributes:
        name: what llama.cpp calls it.
        shape: rows first, as NumPy has it.
        kind: `FLOAT32` or `Q4_1`.
        size: bytes of its data.
        data: makes the data; called once, so that only one weight at a time is in memory.
    """

    name: str
    shape: tuple[int, ...]
    kind: int
    size: int
    data: Callable[[], bytes]


def write_file(out: Path, facts: Sequence[bytes], tensors: Sequence[Tensor]) -> None:
    """Write facts and tensors into `out`."""
    infos, offset = list[bytes](), 0
    for tensor in tensors:
        # The fastest dimension stands first, the other way round than NumPy's.
        shape = tensor.shape[::-1]
        place = struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, tensor.kind, offset)
        infos.append(_text(tensor.name) + place)
        offset += tensor.size + -tensor.size % ALIGNMENT
    head = b"GGUF" + struct.pack("<IQQ", _VERSION, len(tensors), len(facts)) + b"".join([*facts, *infos])
    with out.open("wb") as file:
        file.write(_padded(head))
        for tensor in tensors:
            file.write(_padded(tensor.data()))


def word(key: str, value: str) -> bytes:
    """Make a fact that is a text."""
    return _fact(key, _STRING, _text(value))


def count(key: str, value: int) -> bytes:
    """Make a fact that is a whole number from 0 to 2**32 - 1."""
    return _fact(key, _UINT32, struct.pack("<I", value))


def decimal(key: str, value: float) -> bytes:
    """Make a fact that is a 32-bit float."""
    return _fact(key, _FLOAT32_FACT, struct.pack("<f", value))


def no(key: str) -> bytes:
    """Make a fact that is false."""
    return _fact(key, _BOOL, b"\0")


def words(key: str, values: Sequence[str]) -> bytes:
    """Make a fact that is a list of texts."""
    return _array(key, _STRING, [_text(value) for value in values])


def integers(key: str, values: Sequence[int]) -> bytes:
    """Make a fact that is a list of 32-bit integers."""
    return _array(key, _INT32, [struct.pack("<i", value) for value in values])


def _fact(key: str, kind: int, value: bytes) -> bytes:
    return _text(key) + struct.pack("<I", kind) + value


def _array(key: str, kind: int, values: Sequence[bytes]) -> bytes:
    return _fact(key, _ARRAY, struct.pack("<IQ", kind, len(values)) + b"".join(values))


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)
