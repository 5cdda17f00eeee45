"""Settings, registries, templates and variables that nobody should write: each is read, or refused by name."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import strategies as st
from tomlkit.exceptions import TOMLKitError

from mcp_local_llm.files.tasks.template import TaskTemplate, read_template
from mcp_local_llm.models.roles import ROLES, read_registry
from mcp_local_llm.setup.settings import TABLES, Settings
from mcp_local_llm.setup.settings_edit import SettingsEditor
from mcp_local_llm.setup.settings_file import PREFIX, load_settings
from mcp_local_llm.values.cluster import Cluster
from mcp_local_llm.values.endpoint import Endpoint
from mcp_local_llm.values.errors import LocalLLMError
from mcp_local_llm.values.profile import Profile
from tests.reliability.drawn import TEXTS, VALUES, as_json, drawn, fault_of_error

GROUP = "Bad input"
BYTES = st.binary(max_size=60) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))
ODD_TOML = (
    b"a = " + b"9" * 5000,
    b"batch_size = " + b"9" * 5000,
    b"a = " + b"[" * 3000,
    b"a." * 2000 + b"b = 1",
    b"model = 9999-99-99",
    b"model = 0001-01-01T00:00:00-23:59",
    b"idle_minutes = nan",
    b"idle_minutes = inf",
    b"temperature = -nan",
    b"[profiles]\nx = 1",
    b"[profiles.'" + b"x" * 500 + b"']\nmodel = 'm'",
    b"[[endpoints]]\n[[endpoints]]\n",
    b'model = "\\u0000"',
    b'folders = ["\\u0000"]',
    b'roots = ["~nobody/x"]',
    b"\xff\xfe" + "model = 1".encode("utf-16-le"),
)
"""TOML at which readers stumble."""
NAMES = sorted(Settings.model_fields)
INNER = sorted({*Endpoint.model_fields, *Cluster.model_fields, *Profile.model_fields})


def toml(values: Any) -> bytes:
    """Write values as TOML; what TOML has no form for as what it is not."""
    try:
        return tomlkit.dumps(values).encode("utf-8", "surrogatepass")
    except (TOMLKitError, ValueError, TypeError):
        return repr(values).encode("utf-8", "surrogatepass")


def table_of(names: list[str]) -> "st.SearchStrategy[dict[str, Any]]":
    return st.dictionaries(st.sampled_from(names) | TEXTS, VALUES, max_size=3)


SETTINGS = st.one_of(
    st.sampled_from(ODD_TOML),
    BYTES,
    table_of(NAMES).map(toml),
    table_of(NAMES).map(toml),
    st.dictionaries(st.sampled_from(sorted(TABLES)), st.lists(table_of(INNER), max_size=2)).map(toml),
    st.dictionaries(st.just("profiles"), st.dictionaries(TEXTS, table_of(INNER), max_size=2)).map(toml),
)


def refusal_of(act: Callable[[], object]) -> str:
    """The words of a refusal; empty where there was none."""
    try:
        act()
    except LocalLLMError as error:
        return str(error)
    return ""


@pytest.mark.fault(
    GROUP,
    "settings files: bytes, odd TOML, known keys with any values, unknown keys",
    promised="they are read, or refused with file and key",
    tries=300,
)
def test_a_settings_file_is_read_or_refused_by_name(tmp_path: Path, tries: int) -> None:
    path, wrong = tmp_path / "config.toml", list[str]()
    for content in drawn(SETTINGS, tries):
        path.write_bytes(content)
        told = refusal_of(partial(load_settings, path, {}))
        # What is shown of the settings, and what is not, must hold for the same files.
        assert bool(told) == bool(refusal_of(SettingsEditor(path, {}).rows))
        if told and (fault_of_error(told) or not told.startswith(str(path))):
            wrong.append(f"{content[:200]!r}: {told[:400]}")
    assert "\n".join(wrong) == ""


@pytest.mark.fault(
    GROUP,
    "variables of settings with any text",
    promised="they are read, or refused by their name",
    tries=600,
)
def test_a_variable_is_read_or_refused_by_name(tmp_path: Path, tries: int) -> None:
    names = st.sampled_from([name for name in NAMES if name not in TABLES])
    # What a variable can hold: no NUL, and bytes that are no text as Python decodes them.
    texts = st.one_of(TEXTS, VALUES.map(as_json), BYTES.map(os.fsdecode)).map(lambda text: text.replace("\0", ""))
    wrong: list[str] = []
    for name, text in drawn(st.tuples(names, texts), tries):
        variable = PREFIX + name.upper()
        told = refusal_of(partial(load_settings, tmp_path / "none.toml", {variable: text}))
        if told and (fault_of_error(told) or not told.startswith(variable)):
            wrong.append(f"{variable}={text[:200]!r}: {told[:400]}")
    assert "\n".join(wrong) == ""


@pytest.mark.fault(
    GROUP,
    "`config set` with any name and any values",
    promised="the file is changed and valid, or it is as it was and the refusal says why",
    tries=200,
)
def test_a_setting_is_changed_or_the_file_stays(tmp_path: Path, tries: int) -> None:
    path = tmp_path / "config.toml"
    names = st.sampled_from(NAMES) | TEXTS
    wrong: list[str] = []
    for name, values in drawn(st.tuples(names, st.lists(TEXTS, max_size=3)), tries):
        before = '# mine\nmodel = "a"\n'
        path.write_text(before)
        told = refusal_of(partial(SettingsEditor(path, {}).set, name, values))
        if told and (fault_of_error(told) or path.read_text() != before):
            wrong.append(f"{name[:80]!r} {values!r}: {told[:400]}")
        load_settings(path, {})
    assert "\n".join(wrong) == ""


REGISTRIES = st.one_of(
    BYTES,
    VALUES.map(lambda value: as_json(value).encode()),
    st.fixed_dictionaries(
        {},
        optional={
            "models": st.dictionaries(st.sampled_from(ROLES) | TEXTS, VALUES, max_size=4) | VALUES,
            "endpoints": st.dictionaries(TEXTS, VALUES, max_size=3) | VALUES,
        },
    ).map(lambda value: as_json(value).encode()),
)


@pytest.mark.fault(
    GROUP,
    "registry files: bytes, any JSON, roles and endpoints with any values",
    promised="the roles that can be read are read; a warning names each other one",
    tries=600,
)
def test_a_registry_is_read_with_warnings(tmp_path: Path, tries: int) -> None:
    path = tmp_path / "registry.json"
    for content in drawn(REGISTRIES, tries):
        path.write_bytes(content)
        registry = read_registry(path)
        assert registry.roles.keys() >= set(ROLES)
        for warning in registry.warnings:
            assert not fault_of_error(warning), (content[:200], warning)
            warning.encode()


HEAD = 'description = "What it does."\nshape = "chat"\n'
KEYS = sorted((*TaskTemplate.model_fields, "schema"))
ODD_SCHEMAS = ('"{"', '"[1]"', '\'{"type": "odd"}\'', "'" + '{"a":' * 800 + "'", "'" + "[" * 5000 + "'", "5", "[1]")


def template(parts: tuple[bytes, bytes]) -> bytes:
    front, body = parts
    return b"+++\n" + front + b"\n+++\n" + body


FRONTS = st.one_of(
    st.sampled_from(ODD_TOML).map(lambda line: HEAD.encode() + line),
    st.sampled_from(ODD_SCHEMAS).map(lambda value: f"{HEAD}schema = {value}".encode()),
    table_of(KEYS).map(lambda values: HEAD.encode() + toml(values)),
    BYTES,
)
BODIES = st.sampled_from([b"Do it.\n\n{message}\n", b"{message}{message}", b"", b"\xff{message}\n"]) | BYTES


@pytest.mark.fault(
    GROUP,
    "task templates: bytes, front matter with any keys and values, schemas that are none",
    promised="they are read, or refused with file and key",
    tries=600,
)
def test_a_template_is_read_or_refused_by_name(tries: int) -> None:
    wrong: list[str] = []
    for content in drawn(st.tuples(FRONTS, BODIES).map(template) | BYTES, tries):
        text = content.decode("utf-8", "replace")
        told = refusal_of(partial(read_template, "mine", text, "tasks/mine.md"))
        if told and (fault_of_error(told) or not told.startswith("tasks/mine.md")):
            wrong.append(f"{content[:200]!r}: {told[:400]}")
    assert "\n".join(wrong) == ""
