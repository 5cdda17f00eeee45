"""The command `config`: shows every setting with its source, and changes one in the settings file."""

import dataclasses
from typing import Annotated, Any, cast

import typer

from mcp_local_llm.doors.cli import show
from mcp_local_llm.doors.cli.run import WRONG_REQUEST, fail, telling_failures
from mcp_local_llm.doors.cli.show import JsonOption
from mcp_local_llm.doors.cli.terminal import columns
from mcp_local_llm.setup.settings import TABLES, Settings
from mcp_local_llm.setup.settings_edit import SettingRow, SettingsEditor
from mcp_local_llm.values.errors import shortened

EXAMPLES = """\b
Examples:
  mcp-local-llm config                         every setting, its value and where it comes from
  mcp-local-llm config get idle_minutes
  mcp-local-llm config set idle_minutes 30
  mcp-local-llm config set folders ~/models /mnt/models
  mcp-local-llm config unset idle_minutes"""


def _keys(incomplete: str) -> list[str]:
    return [name for name in Settings.model_fields if name not in TABLES and name.startswith(incomplete)]


Key = Annotated[str, typer.Argument(help="Name of the setting.", autocompletion=_keys)]


def add_config_command(commands: typer.Typer, editor: SettingsEditor) -> None:
    """Add `config` with its own commands."""
    config = typer.Typer(rich_markup_mode=None, epilog=EXAMPLES)

    def every(context: typer.Context, as_json: JsonOption = False) -> None:
        """Show every setting and its source, or change one."""
        if context.invoked_subcommand is None:
            with telling_failures():
                rows = editor.rows()
            if as_json:
                settings = [dataclasses.asdict(row) for row in rows]
                show.print_json({"file": str(editor.path), "settings": settings})
            else:
                _show(rows, str(editor.path))

    def get(key: Key, as_json: JsonOption = False) -> None:
        """Print the value of one setting."""
        with telling_failures():
            row = next((row for row in editor.rows() if row.name == key), None)
        if row is None:
            fail(f"There is no setting {shortened(repr(key))}. `mcp-local-llm config` shows all.", WRONG_REQUEST)
        if as_json:
            show.print_json(dataclasses.asdict(row))
        else:
            show.print_text(_words(row.value))

    def set_(
        key: Key,
        value: Annotated[list[str], typer.Argument(help="Its value; a list takes several.")],
        as_json: JsonOption = False,
    ) -> None:
        """Set a setting in the settings file; comments and order stay, and a wrong value is refused."""
        with telling_failures():
            _tell(editor.set(key, value), as_json=as_json)

    def unset(key: Key, as_json: JsonOption = False) -> None:
        """Remove a setting from the settings file, so that its default counts."""
        with telling_failures():
            _tell(editor.unset(key), as_json=as_json)

    config.callback(invoke_without_command=True)(every)
    config.command()(get)
    config.command(name="set")(set_)
    config.command()(unset)
    commands.add_typer(config, name="config")


def _tell(text: str, *, as_json: bool) -> None:
    if as_json:
        show.print_json({"text": text})
    else:
        show.print_text(text)


def _show(rows: tuple[SettingRow, ...], file: str) -> None:
    widest = columns() // 2
    cells: list[tuple[str, str, str]] = []
    for row in rows:
        words = _words(row.value)
        value = words if len(words) <= widest else f"{words[: widest - 3]}..."
        cells.append((row.name, value, "file" if row.source == file else row.source))
    show.print_table(("setting", "value", "from"), cells, beside=0)
    show.print_text(f"file: {file}")


def _words(value: Any) -> str:
    match value:
        case None:
            return "not set"
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(map(_word_of, cast(list[Any], value))) or "none"
        case dict():
            return ", ".join(cast(dict[str, Any], value)) or "none"
        case _:
            return str(value)


def _word_of(entry: Any) -> str:
    """Return an entry of a list; a table is called by its name."""
    return str(cast(dict[str, Any], entry).get("name", "")) if isinstance(entry, dict) else str(entry)
