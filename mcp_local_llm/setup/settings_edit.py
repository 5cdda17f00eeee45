"""Shows where each setting comes from, and changes one in `config.toml`; comments and order of the file stay.

A change is checked with the whole file before anything is written, and the file is replaced in one step.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import SecretStr

from mcp_local_llm.setup.replaced_file import PRIVATE, real_place, replace_file
from mcp_local_llm.setup.settings import SETTING_SCOPES, TABLES, Settings
from mcp_local_llm.setup.settings_file import (
    LISTS,
    RENAMED,
    is_text,
    load_settings,
    nearest_setting,
    read_settings_file,
    settings_of,
    variables_of,
)
from mcp_local_llm.values.errors import ConfigError, InvalidRequestError, shortened

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

HIDDEN = "(hidden)"
"""Shown in place of a key."""

DEFAULT = "default"


@dataclass(frozen=True)
class SettingRow:
    """One setting.

    Attributes:
        value: as JSON values; None where it is unset.
        source: `default`, the settings file, or the variable.
        whose: the process whose value counts, see `SETTING_SCOPES`.
    """

    name: str
    value: Any
    source: str
    whose: str


@dataclass(frozen=True)
class SettingsEditor:
    """The settings of this user.

    Attributes:
        path: the settings file, which may be missing.
        environ: the process's environment.
    """

    path: Path
    environ: Mapping[str, str]

    def rows(self) -> tuple[SettingRow, ...]:
        """Return every setting with its value and source.

        Raises:
            ConfigError: a setting is wrong.
        """
        settings = load_settings(self.path, self.environ)
        written = read_settings_file(self.path)
        written |= {RENAMED[old]: value for old, value in written.items() if old in RENAMED}
        variables = variables_of(self.environ)
        return tuple(
            SettingRow(
                name,
                _plain(settings, name),
                variables.get(name) or (str(self.path) if name in written else DEFAULT),
                SETTING_SCOPES.get(name, "owner"),
            )
            for name in Settings.model_fields
        )

    def set(self, name: str, values: Sequence[str]) -> str:
        """Set a setting in the file; a list takes several values. Return a sentence.

        Raises:
            InvalidRequestError: there is no such setting, or it cannot be set so.
            ConfigError: the value is wrong, or the file cannot be read or written; then it stays as it was.
        """
        self._require_known(name)
        if name not in LISTS and len(values) != 1:
            raise InvalidRequestError(f"'{name}' takes one value, not {len(values)}.")
        if not all(is_text(value) for value in values):
            raise InvalidRequestError(f"The value of '{name}' is not UTF-8. Write it as text.")
        raw: Any = list(values) if name in LISTS else values[0]
        document = self._document()
        checked = settings_of(self.path, {**document.unwrap(), name: raw}, {})
        _put(document, name, _toml(raw, getattr(checked, name)))
        self._replace(document)
        return f"{name} is set in {self.path}.{self._overruled(name)}{_IN_FORCE}"

    def unset(self, name: str) -> str:
        """Remove a setting, or a misspelt key, from the file, so that the default counts. Raises as `set`."""
        from tomlkit.items import AoT

        document = self._document()
        if RENAMED.get(name, name) in TABLES or (name in document and isinstance(document[name], dict | AoT)):
            raise self._is_table(name)
        if name not in document:
            self._require_known(name)
            return f"{name} is not set in {self.path}; nothing was changed.{self._overruled(name)}"
        del document[name]
        self._replace(document)
        return f"{name} is removed from {self.path}.{self._overruled(name)}{_IN_FORCE}"

    def _require_known(self, name: str) -> None:
        table = name.partition(".")[0]
        if RENAMED.get(table, table) in TABLES:
            raise self._is_table(table)
        if name not in Settings.model_fields:
            near = nearest_setting(name)
            meant = f"Did you mean '{near}'?" if near else f"Settings: {', '.join(Settings.model_fields)}."
            raise InvalidRequestError(f"There is no setting {shortened(repr(name))}. {meant}")

    def _is_table(self, name: str) -> InvalidRequestError:
        return InvalidRequestError(f"'{name}' is a table. Edit it in {self.path}.")

    def _document(self) -> "TOMLDocument":
        # Imported here: it takes as long as everything else that shows the settings.
        import tomlkit

        read_settings_file(self.path)  # Raises an error that names the file.
        try:
            text = self.path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            text = ""
        return tomlkit.parse(text)

    def _replace(self, document: "TOMLDocument") -> None:
        """Write the file in one step; a link stays a link, and the mode of the file stays."""
        content = document.as_string()
        settings_of(self.path, tomllib.loads(content), {})
        try:
            target = real_place(self.path)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(target, content.encode(), target.stat().st_mode & 0o777 if target.exists() else PRIVATE)
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written: {error.strerror}.") from error

    def _overruled(self, name: str) -> str:
        variable = variables_of(self.environ).get(name)
        return f" The variable {variable} is set and wins over the file." if variable else ""


_IN_FORCE = " Processes that run already keep their settings until they are started anew."


def _plain(settings: Settings, name: str) -> Any:
    """Return a value as JSON values, without keys."""
    value = getattr(settings, name)
    if isinstance(value, SecretStr):
        return HIDDEN
    dumped: dict[str, Any] = settings.model_dump(mode="json", include={name}, exclude_none=name in TABLES)
    return dumped[name]


def _toml(raw: Any, checked: object) -> Any:
    """Return a value as it stands in the file: numbers and switches as such, everything else as it was typed."""
    if isinstance(checked, float) and str(raw).isdecimal():
        return int(raw)
    return checked if isinstance(checked, bool | int | float) else raw


def _put(document: "TOMLDocument", name: str, value: Any) -> None:
    """Change a value in its place, or add it below the last one: a comment above the first table belongs to that."""
    import tomlkit
    from tomlkit.items import AoT, Item, Table

    if name in document:
        document[name] = value
        return
    body = document.body
    plain = [number for number, (key, item) in enumerate(body) if key is not None and not isinstance(item, AoT | Table)]
    end = "\r\n" if "\r\n" in document.as_string() else "\n"
    added = cast(Item, tomlkit.item(value))
    added.trivia.trail = end
    if plain:
        before = body[plain[-1]][1].trivia
        before.trail = before.trail or end
    elif body:
        added.trivia.trail = end * 2
    body.insert(plain[-1] + 1 if plain else 0, (tomlkit.key(name), added))
