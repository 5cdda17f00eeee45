import json
from pathlib import Path

import pytest

from mcp_local_llm.models.roles import ROLES, Registry, absent_models, read_registry
from mcp_local_llm.setup.places import registry_path

UNSET = dict.fromkeys(ROLES)


def written(folder: Path, content: bytes) -> Path:
    path = folder / "registry.json"
    path.write_bytes(content)
    return path


def test_roles_and_endpoints_are_read(tmp_path: Path) -> None:
    value = {
        "models": {"default": "a/b", "coding": None, "quickest": "", "mine": " c/d "},
        "endpoints": {"mlx_local": "http://127.0.0.1:11434/v1", "off": None},
        "more": [1, 2, 3],
    }
    assert read_registry(written(tmp_path, json.dumps(value).encode())) == Registry(
        roles=UNSET | {"default": "a/b", "mine": "c/d"},
        endpoints={"mlx_local": "http://127.0.0.1:11434/v1"},
    )


def test_a_registry_that_does_not_exist_is_no_fault(tmp_path: Path) -> None:
    assert read_registry(tmp_path / "none" / "registry.json") == Registry()


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not valid JSON (line 1); roles are unset."),
    "cut off": (b'{"models": {\n "default"', "is not valid JSON (line 2); roles are unset."),
    "binary": (b'{"a": "\x80"}', "is not valid JSON; roles are unset."),
    "nested without end": (b"[" * 100_000, "is not valid JSON; roles are unset."),
    "a number without end": (b"1" * 5000, "is not valid JSON; roles are unset."),
    "a list": (b"[]", "holds no JSON object; roles are unset."),
    "null": (b"null", "holds no JSON object; roles are unset."),
    "models as a list": (b'{"models": ["a"]}', ": 'models' is not an object and is ignored."),
    "models as text": (b'{"models": "a/b"}', ": 'models' is not an object and is ignored."),
    "a role as a number": (b'{"models": {"coding": 7}}', ": models.coding is not a text and is ignored."),
    "a role as an object": (b'{"models": {"oss": {"id": "a"}}}', ": models.oss is not a text and is ignored."),
    "an endpoint as a list": (b'{"endpoints": {"x": []}}', ": endpoints.x is not a text and is ignored."),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_passed_over_with_one_warning(case: str, tmp_path: Path) -> None:
    content, warning = BROKEN[case]
    path = written(tmp_path, content)
    registry = read_registry(path)
    assert registry.roles == UNSET
    assert len(registry.warnings) == 1
    assert registry.warnings[0].startswith(str(path))
    assert registry.warnings[0].endswith(warning)


def test_null_in_place_of_the_roles_is_normal(tmp_path: Path) -> None:
    assert read_registry(written(tmp_path, b'{"models": null, "endpoints": null}')) == Registry()


def test_one_wrong_entry_leaves_the_others(tmp_path: Path) -> None:
    registry = read_registry(written(tmp_path, b'{"models": {"default": 1, "coding": "a/b"}}'))
    assert registry.roles["coding"] == "a/b"
    assert registry.roles["default"] is None


def test_a_folder_in_place_of_the_file_is_a_warning(tmp_path: Path) -> None:
    assert read_registry(tmp_path).warnings == (
        f"{tmp_path} cannot be read (it is a folder, not a regular file); roles are unset.",
    )


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({}, "/home/me/.config/ai-stack/registry.json"),
        ({"XDG_CONFIG_HOME": "/xdg"}, "/xdg/ai-stack/registry.json"),
        ({"XDG_CONFIG_HOME": ""}, "/home/me/.config/ai-stack/registry.json"),
        ({"XDG_CONFIG_HOME": "relative"}, "/home/me/.config/ai-stack/registry.json"),
    ],
)
def test_the_registry_lies_in_the_users_configuration(environ: dict[str, str], path: str) -> None:
    assert registry_path(environ, Path("/home/me")) == Path(path)


def test_roles_whose_model_is_not_here_are_said() -> None:
    roles = {"default": "a/B", "coding": "b", "oss": None, "quickest": "x/gone"}
    assert absent_models(roles, ["A/b"]) == ("The role 'quickest' stands for x/gone, which is not on this machine.",)
