"""Settings from the file and from variables."""

from pathlib import Path

import pytest

from mcp_local_llm.errors import ConfigError
from mcp_local_llm.settings import Settings, load_settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_without_a_file_or_variables_the_defaults_hold(file: Path) -> None:
    assert load_settings(file, {}) == Settings()


def test_the_file_is_read(file: Path) -> None:
    file.write_text('model = "32b"\nfolders = ["/models", "~/more"]\nreserve_context = 4096\nforce = true\n')
    settings = load_settings(file, {})
    assert settings.model == "32b"
    assert settings.folders == (Path("/models"), Path("~/more").expanduser())
    assert (settings.reserve_context, settings.force) == (4096, True)


def test_a_variable_wins_over_the_file(file: Path) -> None:
    file.write_text('model = "32b"\nreserve_context = 4096\n')
    settings = load_settings(file, {"MCP_LOCAL_LLM_MODEL": "7b", "MCP_LOCAL_LLM_FOLDERS": "/a:/b", "MODEL": "other"})
    assert (settings.model, settings.reserve_context) == ("7b", 4096)
    assert settings.folders == (Path("/a"), Path("/b"))


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_variable_counts_as_unset(file: Path, empty: str) -> None:
    file.write_text('model = "32b"\n')
    assert load_settings(file, {"MCP_LOCAL_LLM_MODEL": empty}).model == "32b"


@pytest.mark.parametrize(("text", "environ"), [("kv_bits = 8", {}), ("", {"MCP_LOCAL_LLM_KV_BITS": " 8 "})])
def test_a_choice_among_numbers_is_read_from_the_file_and_from_a_variable(
    file: Path, text: str, environ: dict[str, str]
) -> None:
    file.write_text(text)
    assert load_settings(file, environ).kv_bits == 8


REFUSED: list[tuple[str, dict[str, str], list[str]]] = [
    ('modell = "32b"', {}, ["config.toml", "there is no setting 'modell'", "model, folders"]),
    ("reserve_context = 1", {}, ["config.toml", "'reserve_context' is 1", "greater than or equal to 512"]),
    ("prefix_disk_mb = -1", {}, ["config.toml", "'prefix_disk_mb' is -1", "greater than or equal to 0"]),
    ("model = 7", {}, ["config.toml", "'model' is 7", "valid string"]),
    ("model = ", {}, ["config.toml cannot be read", "Mend the file or remove it"]),
    ("", {"MCP_LOCAL_LLM_FORCE": "perhaps"}, ["MCP_LOCAL_LLM_FORCE", "'force' is 'perhaps'", "valid boolean"]),
    ("kv_bits = 2", {}, ["config.toml", "'kv_bits' is 2", "4 or 8"]),
    ("", {"MCP_LOCAL_LLM_KV_BITS": "eight"}, ["MCP_LOCAL_LLM_KV_BITS", "'kv_bits' is 'eight'", "4 or 8"]),
    ("", {"MCP_LOCAL_LLM_RESERVE_CONTEXT": "many"}, ["MCP_LOCAL_LLM_RESERVE_CONTEXT", "valid integer"]),
]


@pytest.mark.parametrize(("text", "environ", "words"), REFUSED)
def test_a_wrong_setting_is_refused_with_its_place_and_what_is_allowed(
    file: Path, text: str, environ: dict[str, str], words: list[str]
) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(file, environ)
    assert [word for word in words if word not in str(caught.value)] == [], caught.value


def test_a_file_that_is_no_text_is_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(file, {})
