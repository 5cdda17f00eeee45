"""Reads the settings from `config.toml` and from `MCP_LOCAL_LLM_*` variables, which win over the file.

Unknown keys, unknown variables and wrong values are refused by name.
"""

import difflib
import os
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.setup.settings import TABLES, Settings
from mcp_local_llm.values.endpoint import Endpoint
from mcp_local_llm.values.errors import ConfigError, shortened

PREFIX = "MCP_LOCAL_LLM_"
RENAMED: Mapping[str, str] = {"launch": "cluster"}
"""Old key of the file → its present name; the old one is accepted with a warning."""
LISTS: Mapping[str, str] = {
    **dict.fromkeys(("folders", "roots", "secret_names", "allow"), os.pathsep),
    **dict.fromkeys(("allowed_hosts", "allowed_origins"), ","),
}
"""Settings that are lists → what stands between two values in a variable."""
MAX_FILE_BYTES = 2**20
"""A longer file is no settings file."""


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read `path` (it may be missing) and the variables.

    Raises:
        ConfigError: names the file or variable, the key and what is allowed.
    """
    settings = settings_of(path, read_settings_file(path), environ)
    return settings.warned((*settings.warnings, *_exposed(path, settings)))


def _exposed(path: Path, settings: Settings) -> Iterator[str]:
    """Warn about keys in files that others can read. Raises `ConfigError` where others can write it."""
    mode = _mode(path)
    if mode & stat.S_IWOTH:
        raise ConfigError(
            f"{path} can be written by every user of this machine, and it names programs and servers. Look what is in "
            f"it, then run `chmod go-w {path}`."
        )
    if mode & stat.S_IROTH and settings.api_key is not None and "api_key" in read_settings_file(path):
        yield f"{path} holds a key and can be read by every user of this machine: run `chmod 600 {path}`."
    for endpoint in settings.endpoints:
        file = endpoint.api_key_file
        if file is not None and _mode(file) & stat.S_IROTH:
            yield (
                f"{file} holds the key of the endpoint {endpoint.name!r} and can be read by every user of this "
                f"machine: run `chmod 600 {file}`."
            )


def _mode(path: Path) -> int:
    """Return the mode of a file, 0 where it is not there or cannot be asked."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def settings_of(path: Path, content: dict[str, Any], environ: Mapping[str, str]) -> Settings:
    """Return the settings of a file's content and the variables. Raises as `load_settings`."""
    values, warnings = _renamed(path, content)
    origin = dict.fromkeys(values, f"{path}")
    for name, variable in variables_of(environ).items():
        raw = environ[variable].strip()
        if not is_text(raw):
            raise ConfigError(f"{variable} is not UTF-8. Write it as text, or set '{name}' in {path}.")
        # A separator at the end, as in many a PATH, names nothing: an empty path would be the working folder.
        values[name] = [part for part in map(str.strip, raw.split(LISTS[name])) if part] if name in LISTS else raw
        origin[name] = variable
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, origin)) from error
    _require_known_variables(environ, settings.endpoints)
    return settings.warned(warnings)


def variables_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return setting → the variable that sets it, for those that are set; an empty variable counts as unset."""
    names = {name: PREFIX + name.upper() for name in Settings.model_fields if name not in TABLES}
    return {name: variable for name, variable in names.items() if environ.get(variable, "").strip()}


def is_text(value: str) -> bool:
    """Say whether an argument or a variable held UTF-8: Python reads other bytes as halves of surrogate pairs."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def nearest_setting(name: str) -> str:
    """Return the setting that a misspelt name probably means, or an empty text."""
    return _nearest(name, Settings.model_fields)


def read_settings_file(path: Path) -> dict[str, Any]:
    """Return the keys and values of the file, unchecked; an empty dictionary for a missing file.

    Raises:
        ConfigError: the file cannot be read, or is not TOML.
    """
    try:
        # Editors on Windows begin a file with a byte order mark, which TOML does not allow.
        return tomllib.loads(read_regular(path, MAX_FILE_BYTES).decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Mend the file or remove it.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {error}. Mend the file or remove it.") from error


def _renamed(path: Path, values: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Move the values of old keys to the new ones; return a warning for each."""
    warnings: list[str] = []
    for old, new in RENAMED.items():
        if old in values:
            if new in values:
                raise ConfigError(f"{path}: '{old}' is the old name of '{new}', and both are there. Keep '{new}' only.")
            values[new] = values.pop(old)
            warnings.append(f"{path}: [[{old}]] is called [[{new}]] now; the old name will go. Rename it.")
    return values, tuple(warnings)


def _require_known_variables(environ: Mapping[str, str], endpoints: tuple[Endpoint, ...]) -> None:
    """Refuse unknown variables with our prefix, all at once, unless they hold an endpoint's key."""
    names = [name for name in Settings.model_fields if name not in TABLES]
    known = {PREFIX + name.upper() for name in names}
    keys = {endpoint.api_key_env for endpoint in endpoints}
    sentences, all_known = list[str](), ""
    for variable in sorted(environ):
        # As with a setting's own variable, an empty one counts as unset.
        if not variable.startswith(PREFIX) or variable in known | keys or not environ[variable].strip():
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name in TABLES or name in RENAMED:
            sentences.append(f"{variable}: '{RENAMED.get(name, name)}' can only be set in the file.")
            continue
        near = _nearest(name, names)
        meant = f" Did you mean {PREFIX}{near.upper()}?" if near else ""
        sentences.append(f"{shortened(variable)}: there is no such setting.{meant}")
        all_known = all_known if near else f" Known variables: {', '.join(sorted(known))}."
    if sentences:
        raise ConfigError(" ".join(sentences) + all_known)


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that was probably meant: one that begins with `name`, else a similar one, or empty."""
    names, name = list(known), name.lower()
    begun = [one for one in names if len(name) > 2 and one.startswith(name)]
    return next(iter(begun or difflib.get_close_matches(name, names, n=1, cutoff=0.7)), "")


def _explain(error: ValidationError, origin: Mapping[str, str]) -> str:
    sentences: list[str] = []
    for problem in error.errors(include_url=False):
        key = str(problem["loc"][0])
        where = origin.get(key, "settings")
        if problem["type"] == "extra_forbidden":
            within = TABLES.get(key, Settings) if len(problem["loc"]) > 1 else Settings
            *_, unknown = (key, *problem["loc"])
            allowed = ", ".join(within.model_fields)
            near = _nearest(str(unknown), within.model_fields)
            meant = f" Did you mean '{near}'?" if near else ""
            sentences.append(
                f"{where}: there is no setting '{shortened(str(unknown))}'.{meant} Known settings: {allowed}."
            )
        else:
            sentences.append(f"{where}: {_wrong(problem)}")
    return " ".join(sentences)


def _wrong(problem: ErrorDetails) -> str:
    """Say what is wrong with one value, in the words of TOML."""
    parts = (f"[{part + 1}]" if isinstance(part, int) else f".{shortened(part)}" for part in problem["loc"])
    place = "".join(parts).removeprefix(".")
    if problem["type"] == "missing":
        return f"'{place}' is missing."
    # A key may stand in the place of its variable's name, in a URL, or anywhere in a table; no message may repeat it.
    secret = isinstance(problem["input"], dict | list) or place.endswith(("api_key", "api_key_env", "url"))
    value = "wrong" if secret else shortened(f"{problem['input']!r}")
    allowed = _SHAPES.get(problem["type"], problem["msg"])
    if problem["type"] == "tuple_type" and place in TABLES:
        allowed += f" of tables: write [[{place}]] above each"
    return f"'{place}' is {value}. {allowed}."


_SHAPES = {
    "tuple_type": "It should be a list",
    **dict.fromkeys(("dict_type", "mapping_type", "model_type"), "It should be a table"),
    "path_type": "It should be the text of a path",
}
"""Kinds of faults whose own words are Python's."""
