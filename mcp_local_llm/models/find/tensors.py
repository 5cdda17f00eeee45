"""The header of a safetensors file: which tensors it holds, without reading one.

The format: eight bytes give the length of a JSON object that names every tensor's type, shape and place; the data
follow (https://github.com/huggingface/safetensors, "Format").
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

from mcp_local_llm.models.find.files import UnreadableError
from mcp_local_llm.setup.regular_file import open_regular
from mcp_local_llm.values.model import human_bytes

MAX_HEADER_BYTES = 100_000_000
"""The longest header that the safetensors library itself accepts, in bytes."""


class Tensor(NamedTuple):
    """One tensor as the header tells it; `nbytes` on disk. A tuple, since a file may name tens of thousands."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int


def read_tensors(path: Path) -> list[Tensor]:
    """Read the names, types and shapes of all tensors of a file.

    Raises:
        UnreadableError: not a safetensors file, or shorter than its header says (a broken download).
    """
    try:
        size = path.stat().st_size
        with open_regular(path) as file:
            start = file.read(8)
            if start.startswith(b"version "):
                raise UnreadableError(f"{path.name} is a Git LFS pointer, not weights: fetch it with git lfs pull")
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= min(MAX_HEADER_BYTES, max(size - 8, 0)):
                raise UnreadableError(f"{path.name} is not a safetensors file")
            header: object = json.loads(file.read(length))
    except OSError as error:
        raise UnreadableError(f"{path.name} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{path.name} is not a safetensors file") from error
    try:
        tensors = list(_tensors(cast(dict[str, Any], header)))
        end = 8 + length + sum(tensor.nbytes for tensor in tensors)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableError(f"{path.name} has a broken header") from error
    if end > size:
        raise UnreadableError(f"{path.name} is cut off: {human_bytes(size)} of {human_bytes(end)} are here")
    return tensors


def _tensors(header: dict[str, Any]) -> Iterator[Tensor]:
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            yield Tensor(name, str(entry["dtype"]), tuple(map(int, entry["shape"])), int(last) - int(first))
