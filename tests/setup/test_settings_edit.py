"""Changing one setting: the rest of the file stays, and nothing wrong is written."""

import stat
from pathlib import Path

import pytest

from mcp_local_llm.setup.settings_edit import SettingsEditor
from mcp_local_llm.setup.settings_file import load_settings
from mcp_local_llm.values.errors import ConfigError, InvalidRequestError

FILE = """\
# My settings.
batch_size = 2  # two are enough

idle_minutes = 30

# For code.
[profiles.code]
model = "coder"   # any
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config" / "config.toml"


def edited(path: Path, content: str, name: str, *values: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode())
    SettingsEditor(path, {}).set(name, values)
    return path.read_bytes().decode()


@pytest.mark.parametrize(
    ("before", "name", "values", "after"),
    [
        ("", "batch_size", ["8"], "batch_size = 8\n"),
        (FILE, "batch_size", ["8"], FILE.replace("= 2 ", "= 8 ")),
        (FILE, "preload", ["yes"], FILE.replace("= 30\n", "= 30\npreload = true\n")),
        (FILE, "idle_minutes", ["2.5"], FILE.replace("30", "2.5")),
        (FILE, "folders", ["~/a", "/b c"], FILE.replace("= 30\n", '= 30\nfolders = ["~/a", "/b c"]\n')),
        (FILE, "model", ["32b"], FILE.replace("= 30\n", '= 30\nmodel = "32b"\n')),
        ('[profiles.a]\nmodel = "x"\n', "model", ["y"], 'model = "y"\n\n[profiles.a]\nmodel = "x"\n'),
        ("force = true", "kv_bits", ["8"], "force = true\nkv_bits = 8\n"),
        ("force = true\r\n", "model", ['a "b"'], 'force = true\r\nmodel = "a \\"b\\""\r\n'),
        ("batch_size = 99\n", "batch_size", ["9"], "batch_size = 9\n"),
    ],
)
def test_a_value_is_set_in_its_place(path: Path, before: str, name: str, values: list[str], after: str) -> None:
    assert edited(path, before, name, *values) == after
    load_settings(path, {})


@pytest.mark.parametrize(
    ("name", "values", "error", "says"),
    [
        ("batch_size", ["100"], ConfigError, "less than or equal to 32"),
        ("batch_siz", ["1"], InvalidRequestError, "Did you mean 'batch_size'?"),
        ("zzz", ["1"], InvalidRequestError, "Settings: model, folders"),
        ("profiles", ["x"], InvalidRequestError, "is a table"),
        ("endpoints.gpu.url", ["x"], InvalidRequestError, "is a table"),
        ("launch", ["x"], InvalidRequestError, "is a table"),
        ("model", ["a", "b"], InvalidRequestError, "takes one value"),
        ("log_level", ["loud"], ConfigError, "log_level"),
        ("api_key", ["with space"], ConfigError, "api_key"),
    ],
)
def test_what_is_wrong_changes_nothing(
    path: Path, name: str, values: list[str], error: type[Exception], says: str
) -> None:
    path.parent.mkdir()
    path.write_text(FILE)
    with pytest.raises(error) as refused:
        SettingsEditor(path, {}).set(name, values)
    assert says in str(refused.value)
    assert "with space" not in str(refused.value)
    assert path.read_text() == FILE
    assert [one.name for one in path.parent.iterdir()] == ["config.toml"]


def test_a_value_is_removed_and_a_variable_that_wins_is_told(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(FILE)
    editor = SettingsEditor(path, {"MCP_LOCAL_LLM_BATCH_SIZE": "3"})
    assert "MCP_LOCAL_LLM_BATCH_SIZE is set and wins" in editor.unset("batch_size")
    assert path.read_text() == FILE.replace("batch_size = 2  # two are enough\n", "")
    assert "nothing was changed" in editor.unset("batch_size")
    path.write_text(f"batch_siz = 2\n{path.read_text()}")
    editor.unset("batch_siz")
    with pytest.raises(InvalidRequestError, match="is a table"):
        editor.unset("profiles")
    with pytest.raises(InvalidRequestError, match="Did you mean"):
        editor.unset("batch_siz")
    assert {row.name: row.source for row in editor.rows()}["batch_size"] == "MCP_LOCAL_LLM_BATCH_SIZE"


@pytest.mark.parametrize("name", ["launch", "cluster", "endpoints", "endpoint", "profile"])
def test_tables_are_not_removed_under_any_name(path: Path, name: str) -> None:
    path.parent.mkdir()
    path.write_text("[profile.a]\nx = 1\n[[launch]]\nname = 'two'\n[[endpoint]]\nname = 'a'\n")
    before = path.read_text()
    with pytest.raises(InvalidRequestError, match="is a table"):
        SettingsEditor(path, {}).unset(name)
    assert path.read_text() == before


def test_a_link_stays_a_link_and_the_mode_stays(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text(FILE)
    real.chmod(0o640)
    path.parent.mkdir()
    path.symlink_to(real)
    SettingsEditor(path, {}).set("batch_size", ["4"])
    assert path.is_symlink()
    assert "batch_size = 4" in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_key_is_never_shown_and_a_new_file_is_for_its_user_alone(path: Path) -> None:
    editor = SettingsEditor(path, {})
    editor.set("api_key", ["very-secret"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {row.name: row.value for row in editor.rows()}["api_key"] == "(hidden)"


def test_a_file_that_is_no_toml_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("batch_size = = 2")
    with pytest.raises(ConfigError, match=r"config\.toml cannot be read"):
        SettingsEditor(path, {}).set("batch_size", ["4"])
