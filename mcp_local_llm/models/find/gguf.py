"""Describes a GGUF file as a `ModelInfo`, from its header.

The format: key-value pairs, then the name, shape and type of every tensor, then the data
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). Only the header is read, through a bounded memory map.
"""

import mmap
import re
import struct
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, cast

from mcp_local_llm.models.find.files import (
    JsonObject,
    UnreadableError,
    count_of,
    is_lfs_pointer,
    lfs_pointer,
    size_of,
)
from mcp_local_llm.models.find.purpose import gguf_purpose
from mcp_local_llm.models.find.template import has_thinking, reads_tools
from mcp_local_llm.setup.regular_file import open_regular
from mcp_local_llm.values.model import KV_ELEMENT_BYTES, ModelInfo, ModelSource, Quantization, human_bytes

MAX_HEADER_BYTES = 128 * 2**20
"""The most bytes of a header; a vocabulary of 250,000 tokens takes about 15 MB."""

MAX_STRINGS = 2**21
"""The most texts of an array; the largest vocabularies have 262,144 tokens and as many merges and more."""

MAX_DIMENSIONS = 16
"""The most dimensions of a tensor; llama.cpp has four."""

_VERSIONS = (2, 3)
_MAX_ENTRIES = 100_000
_TEMPLATE = "tokenizer.chat_template"
_SPLIT = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
_FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_NUMBER = re.compile(r"\d+")

# general.file_type (llama.cpp, enum llama_ftype): the name of most weights' type, whose number is that of its bits.
# F32, F16 and BF16 (0, 1 and 32) are left out: they quantize nothing.
_FILE_TYPES = {
    2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1",
    10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M",
    16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 21: "Q2_K_S",
    19: "IQ2_XXS", 20: "IQ2_XS", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M",
    36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip


@dataclass(frozen=True)
class _Header:
    """The header of one file.

    Attributes:
        experts: parameters of routed experts among `parameters`.
        least_size: bytes of the header, and of the data before the last tensor.
    """

    facts: JsonObject = field(default_factory=dict[str, Any])
    parameters: int = 0
    experts: int = 0
    least_size: int = 0


class _Cursor:
    """Reads the values of a header in order, from a memory map of the file. `at`: the bytes that were read."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.at = 0

    def number(self, kind: str) -> Any:
        """Read one number of a `struct` format."""
        (value,) = struct.unpack_from(f"<{kind}", self._data, self.at)
        self.at += struct.calcsize(f"<{kind}")
        return value

    def text(self) -> str:
        """Read a string: its length, then UTF-8."""
        length: int = self.number("Q")
        start, self.at = self.at, self.at + length
        return self._data[start : self.at].decode(errors="replace")

    def value(self, kind: int) -> Any:
        """Read a value; an array of strings (a vocabulary) is skipped and returns None."""
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.number(_FORMATS[kind])
        inner, count = self.number("I"), self.number("Q")
        if inner == _STRING:
            if count > MAX_STRINGS:
                raise struct.error("no vocabulary has so many words")
            self._skip_strings(count)
            return None
        start, size = self.at, count * struct.calcsize(f"<{_FORMATS[inner]}")
        self.at += size
        if self.at > len(self._data):
            raise struct.error("the array is longer than the header")
        return None if count > _MAX_ENTRIES else struct.unpack_from(f"<{count}{_FORMATS[inner]}", self._data, start)

    def _skip_strings(self, count: int) -> None:
        unpack, data, at = struct.Struct("<Q").unpack_from, self._data, self.at
        for _ in range(count):
            at += 8 + unpack(data, at)[0]
        self.at = at


def gguf_models(files: list[Path], prefix: str, source: ModelSource) -> list[ModelInfo]:
    """Describe the GGUF models of one folder: one for each file, or for each set of split files.

    Files of vision encoders (`mmproj`) are not models.

    Args:
        files: the GGUF files of the folder.
        prefix: of the ids, before the file's stem, e.g. `publisher/model/`.
        source: of the folder.
    """
    sets: dict[str, list[Path]] = {}
    for path in files:
        if not path.name.lower().startswith("mmproj"):
            split = _SPLIT.fullmatch(path.name)
            sets.setdefault(split[1] if split else path.stem, []).append(path)
    models = (_describe(f"{prefix}{stem}", parts, source) for stem, parts in sets.items())
    return [model for model in models if model is not None]


def _describe(name: str, parts: list[Path], source: ModelSource) -> ModelInfo | None:
    """Describe one model; None for a vision encoder, which is a part of another."""
    problems: list[str] = []
    headers: list[_Header] = []
    for path in parts:
        try:
            headers.append(_read_header(path))
        except UnreadableError as error:
            problems.append(str(error))
    split = _SPLIT.fullmatch(parts[0].name)
    if split and len(parts) != int(split[3]):
        problems.append(f"partial download: {int(split[3]) - len(parts)} of {int(split[3])} weight files missing")
    facts = headers[0].facts if headers else {}
    if facts.get("general.type") == "mmproj" or facts.get("general.architecture") == "clip":
        return None
    architecture = str(facts.get("general.architecture", "unknown"))
    parameters = sum(header.parameters for header in headers)
    if purpose := gguf_purpose(facts):
        problems.insert(0, purpose)
    elif headers and not problems and not parameters:
        problems.append("it contains no weights")
    named = {key.removeprefix(_TEMPLATE).lstrip("."): text for key, text in facts.items() if key.startswith(_TEMPLATE)}
    templates = {name or "default": text for name, text in named.items() if isinstance(text, str) and text}
    experts = sum(header.experts for header in headers)
    total, used = count_of(facts, f"{architecture}.expert_count"), count_of(facts, f"{architecture}.expert_used_count")
    active = parameters - experts + experts * used // total if total and used else parameters
    weight_bytes = sum(size_of(path) or 0 for path in parts)
    return ModelInfo(
        id=name,
        path=parts[0],
        source=source,
        format="gguf",
        weight_bytes=weight_bytes,
        architecture=architecture,
        parameters=parameters or None,
        active_parameters=active or None,
        active_bytes=weight_bytes * active // parameters if parameters else None,
        quantization=_quantization(facts.get("general.file_type")),
        kv_bytes_per_token=_kv_bytes_per_token(facts, architecture),
        context_length=count_of(facts, f"{architecture}.context_length"),
        chat_template="default" in templates,
        tool_calling=reads_tools(templates),
        thinking=has_thinking(templates),
        problems=tuple(problems),
    )


def _quantization(file_type: object) -> Quantization | None:
    name = _FILE_TYPES.get(file_type) if isinstance(file_type, int) else None
    return Quantization(int(_NUMBER.findall(name)[0]), None, name) if name else None


def _kv_bytes_per_token(facts: JsonObject, architecture: str) -> int | None:
    """Return the bytes of KV cache for one token at 16 bits; None where the header does not show it."""

    def of(key: str) -> int | None:
        return count_of(facts, f"{architecture}.{key}")

    layers, heads, width = of("block_count"), of("attention.head_count"), of("embedding_length")
    each: object = facts.get(f"{architecture}.attention.head_count_kv")
    if isinstance(each, tuple):  # one entry for each layer
        numbers = cast(tuple[object, ...], each)
        layers, kept = 1, sum(number for number in numbers if isinstance(number, int) and number > 0)
    else:
        kept = of("attention.head_count_kv") or heads
    fallback = width // heads if width and heads else None
    key, value = of("attention.key_length") or fallback, of("attention.value_length") or fallback
    if layers is None or kept is None or key is None or value is None:
        return None
    return layers * kept * (key + value) * KV_ELEMENT_BYTES


def _read_header(path: Path) -> _Header:
    """Read one file's header.

    Raises:
        UnreadableError: the file is not GGUF of version 2 or 3, or is incomplete.
    """
    try:
        size = path.stat().st_size
        length = min(size, MAX_HEADER_BYTES)
        with open_regular(path) as file, mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ) as data:
            if data[:4] != b"GGUF":
                raise UnreadableError(
                    lfs_pointer(path.name, "weights") if is_lfs_pointer(path) else f"{path.name} is not a GGUF file"
                )
            if struct.unpack_from(">I", data, 4)[0] in _VERSIONS:
                raise UnreadableError(
                    f"{path.name} is for big-endian machines, which llama-server does not run here: get the ordinary "
                    "(little-endian) file of the model"
                )
            header = _parse(_Cursor(data))
    except OSError as error:
        raise UnreadableError(f"{path.name} cannot be read ({error.strerror})") from error
    except (struct.error, KeyError, ValueError, OverflowError) as error:
        raise UnreadableError(f"{path.name} has a broken or unfinished header") from error
    if header.least_size > size:
        needed = human_bytes(header.least_size)
        raise UnreadableError(f"{path.name} is cut off: {human_bytes(size)} of more than {needed} are here")
    return header


def _parse(cursor: _Cursor) -> _Header:
    cursor.number("I")  # the magic
    if cursor.number("I") not in _VERSIONS:
        raise ValueError("only versions 2 and 3 are known")
    tensors, pairs = cursor.number("Q"), cursor.number("Q")
    if max(tensors, pairs) > _MAX_ENTRIES:
        raise ValueError("no model has so many entries")
    facts: JsonObject = {}
    for _ in range(pairs):
        key = cursor.text()
        facts[key] = cursor.value(cursor.number("I"))
    parameters = experts = last = 0
    for _ in range(tensors):
        name = cursor.text()
        dimensions = cursor.number("I")
        if dimensions > MAX_DIMENSIONS:
            raise ValueError("no tensor has so many dimensions")
        count = prod(cursor.number("Q") for _ in range(dimensions))
        cursor.number("I")  # the tensor's type
        last = max(last, cursor.number("Q"))  # its offset
        parameters += count
        experts += count if "_exps." in name else 0
    return _Header(facts, parameters, experts, cursor.at + last)
