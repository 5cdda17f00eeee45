"""What others install from tells the same version and the same tools as the package."""

import json
import zipfile
from pathlib import Path

from mcp_local_llm import __version__
from release.bundle import write_bundle
from tests.source import ROOT

TOOLS = ["chat", "set_model", "quick_test", "list_models", "status", "draft"]


def test_the_registry_and_the_plugin_name_the_version_of_the_package() -> None:
    registry = json.loads((ROOT / "server.json").read_text())
    plugin = json.loads((ROOT / "plugin" / ".claude-plugin" / "plugin.json").read_text())
    versions = {registry["version"], plugin["version"], *(package["version"] for package in registry["packages"])}
    assert versions == {__version__}
    # The registry compares this line of the README on the package index with the name.
    assert f"<!-- mcp-name: {registry['name']} -->" in (ROOT / "README.md").read_text()
    assert len(registry["description"]) <= 100


def test_the_bundle_holds_the_package_and_says_what_the_server_says(tmp_path: Path) -> None:
    target = tmp_path / "out" / "x.mcpb"
    write_bundle(target, tmp_path)
    with zipfile.ZipFile(target) as archive:
        names = set(archive.namelist())
        told = json.loads(archive.read("manifest.json"))
    assert [tool["name"] for tool in told["tools"]] == TOOLS
    assert told["version"] == __version__
    assert {told["server"]["entry_point"], told["icon"], "pyproject.toml", "prompts/switch-model.md"} <= names
    assert "mcp_local_llm/tiny/model.safetensors" in names
    assert not any("__pycache__" in name or name.startswith(("tests/", ".")) for name in names)
