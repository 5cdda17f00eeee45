"""Names of the files that one call writes: `{stem}`, `{name}` and `{dir}` of each file it reads, in its path. Pure."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePath, PurePosixPath

from mcp_local_llm.values.errors import InvalidRequestError

PLACEHOLDERS = ("{stem}", "{name}", "{dir}")
"""Stand for a source's name without its ending, with it, and its folder."""

ROWS_ENDINGS = (".jsonl", ".ndjson")
"""Endings of a path that takes one JSON row for each file."""

_BRACES = re.compile(r"\{[^{}/]*\}")


def is_rows_file(path: str) -> bool:
    """Whether a path without placeholders takes all answers as JSON rows."""
    return PurePosixPath(path).suffix.lower() in ROWS_ENDINGS and not has_placeholder(path)


def has_placeholder(path: str) -> bool:
    """Whether a path has a place for the name of a source."""
    return any(placeholder in path for placeholder in PLACEHOLDERS)


def output_paths(pattern: str, sources: Sequence[str]) -> tuple[str, ...]:
    """Return a path for each source, in their order.

    Args:
        pattern: the path of the call.
        sources: paths of the files that are read, without ranges.

    Raises:
        InvalidRequestError: nothing in the pattern tells the sources apart, or two of them get one path.
    """
    if unknown := next((found for found in _BRACES.findall(pattern) if found not in PLACEHOLDERS), None):
        raise InvalidRequestError(f"path has {unknown}; with each_file it may hold {', '.join(PLACEHOLDERS)}.")
    if not has_placeholder(pattern):
        raise InvalidRequestError(
            f"path {pattern!r} is one file, and each_file makes one for each file read. Put {{stem}}, {{name}} or "
            "{dir} into it, or let it end in .jsonl for one JSON row a file."
        )
    paths = tuple(_filled(pattern, PurePosixPath(source)) for source in sources)
    taken: dict[str, str] = {}
    for source, path in zip(sources, paths, strict=True):
        # Disks of macOS and Windows take names that differ in case only for one.
        key = unicodedata.normalize("NFC", path).casefold()
        if key in taken:
            if taken[key] == source:
                raise InvalidRequestError(
                    f"Two parts of {source} would both be written to {path}. Name one range of it, or all of it."
                )
            raise InvalidRequestError(
                f"{taken[key]} and {source} would both be written to {path}. Put "
                f"{'{dir} and {name}' if '{dir}' not in pattern else '{name}'} into path, or name fewer files."
            )
        taken[key] = source
    return paths


def _filled(pattern: str, source: PurePath) -> str:
    values = {"{stem}": source.stem, "{name}": source.name, "{dir}": str(source.parent)}
    # In one pass: a file's own name may hold braces.
    path = re.sub("|".join(map(re.escape, PLACEHOLDERS)), lambda found: values[found[0]], pattern)
    return str(PurePosixPath(path))
