"""Checks that text still parses as what its file name says: Python, JSON, JSON lines, TOML, YAML. Nothing is run."""

import ast
import importlib
import json
import tomllib
import warnings
from collections.abc import Callable, Mapping
from pathlib import PurePath
from types import MappingProxyType

MAX_CHARACTERS = 2_000_000
"""A longer text is not parsed: the check must not take longer than a person would wait."""

MAX_YAML_DEPTH = 200
"""The parser's time grows with the square of the depth: minutes for some thousand brackets."""


def syntax_fault(path: PurePath, text: str) -> str | None:
    """Return what is wrong with a text, an empty text where it parses, None where nothing here can parse it."""
    if path.suffix.lower() not in _LANGUAGES or len(text) > MAX_CHARACTERS:
        return None
    language, parse = _LANGUAGES[path.suffix.lower()]
    try:
        return parse(text)
    except SyntaxError as error:
        return f"it does not parse as Python: {error.msg} (line {error.lineno or 1})"
    except (ValueError, RecursionError, MemoryError) as error:
        first = (str(error).splitlines() or [""])[0]
        return f"it does not parse as {language}: {first or 'it is nested too deeply'}"


def _python(text: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # An invalid escape in somebody's code is a warning of the parser.
        ast.parse(text)
    return ""


def _json(text: str) -> str:
    json.loads(text.removeprefix("\ufeff"), parse_constant=_no_number)
    return ""


def _json_lines(text: str) -> str:
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            if line.strip():
                json.loads(line, parse_constant=_no_number)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    return ""


def _toml(text: str) -> str:
    tomllib.loads(text)
    return ""


def _yaml(text: str) -> str | None:
    try:
        yaml = importlib.import_module("yaml")  # transformers brings it; nothing here needs it.
    except ImportError:
        return None
    try:
        # Events alone: nothing is built, so neither tags nor nested aliases can do anything.
        depth = 0
        for event in yaml.parse(text):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_YAML_DEPTH:
                raise ValueError("it is nested too deeply")
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())[:200]) from error
    return ""


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_LANGUAGES: Mapping[str, tuple[str, Callable[[str], str | None]]] = MappingProxyType(
    {
        **dict.fromkeys((".py", ".pyi"), ("Python", _python)),
        **dict.fromkeys((".json", ".ipynb", ".geojson", ".webmanifest"), ("JSON", _json)),
        **dict.fromkeys((".jsonl", ".ndjson"), ("JSON lines", _json_lines)),
        ".toml": ("TOML", _toml),
        **dict.fromkeys((".yaml", ".yml"), ("YAML", _yaml)),
    }
)
"""Ending of a file name → its language and parser, which returns None where none is installed."""
