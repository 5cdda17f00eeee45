"""What others install from tells the same version and the same tools as the package, and holds what it may."""

import importlib.metadata
import json
import re
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from ruamel.yaml import YAML

from mcp_local_llm import __version__
from release.audit import LOCKS, answers, audit
from release.bundle import write_bundle
from release.licences import PAGE, locked_names, rows, runtime, with_licences
from release.supply import LOCK, uv_environ
from release.version import latest, versions
from release.wheel import PLATFORMS, VERSIONS
from tests.clients import WAIT_S
from tests.source import ROOT

TOOLS = ["chat", "set_model", "quick_test", "list_models", "status", "draft"]
PERMISSIVE = re.compile(
    r"(MIT|MIT-0|ISC|0BSD|Zlib|CC0-1\.0|PSF-2\.0|CNRI-Python|MPL[- ]2\.0|Apache|BSD)\b|Mozilla Public License 2\.0|ISCL"
)
COMPILER_LIBRARIES = re.compile(r"lib(gfortran|quadmath|gomp|scipy_openblas64_|blas|lapack)-")
YAML_READER: Any = YAML(typ="safe")
WORKFLOW = YAML_READER.load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))


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


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    assert {version for _, version in versions()} == {__version__}
    version, date, changes = latest()
    assert version == __version__
    assert re.fullmatch(r"unreleased|\d{4}-\d{2}-\d{2}", date)
    assert "### Added" in changes
    # Each kind of change once.
    kinds = re.findall(r"^### (\w+)$", changes, re.MULTILINE)
    assert sorted(kinds) == sorted(set(kinds))


def test_a_release_is_refused_while_a_file_names_another_version_or_the_day_is_open() -> None:
    command = [sys.executable, "release/version.py", "9.9.9"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 1
    assert f"mcp_local_llm/__init__.py says {__version__}, not 9.9.9." in done.stderr
    assert ("write the day of the release" in done.stderr) is (latest()[1] == "unreleased")


def steps() -> Iterator[Any]:
    """The steps of all jobs of the workflow."""
    for job in WORKFLOW["jobs"].values():
        yield from job["steps"]


def test_only_a_maintainer_starts_the_release_and_only_asked_for_does_it_publish() -> None:
    assert set(WORKFLOW["on"]) == {"workflow_dispatch"}
    assert WORKFLOW["on"]["workflow_dispatch"]["inputs"]["publish"]["default"] is False
    jobs = WORKFLOW["jobs"]
    assert jobs["pypi"]["if"] == "inputs.publish"
    assert jobs["pypi"]["needs"] == ["build", "macos"]
    assert {jobs[name]["needs"] for name in ("registry", "github")} == {"pypi"}


def test_each_job_of_the_release_may_do_no_more_than_it_needs() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    writing = {
        name: [what for what, may in job.get("permissions", {}).items() if may == "write"]
        for name, job in WORKFLOW["jobs"].items()
    }
    assert writing == {
        "build": ["id-token", "attestations"],
        "macos": [],
        "pypi": ["id-token"],
        "registry": ["id-token"],
        "github": ["contents"],
    }
    assert WORKFLOW["jobs"]["pypi"]["environment"] == "pypi"
    # Text of a person goes into a shell as a variable, never as part of the command.
    assert not any("${{ inputs" in step.get("run", "") for step in steps())
    kept = [step for step in steps() if "checkout@" in step.get("uses", "")]
    assert all(step["with"]["persist-credentials"] is False for step in kept)


def test_the_actions_of_the_release_are_pinned_and_its_commands_exist() -> None:
    used = {step["uses"] for step in steps() if "uses" in step}
    open_ones = {name for name in used if not re.search(r"@[0-9a-f]{40}$", name)}
    assert open_ones == {"pypa/gh-action-pypi-publish@release/v1"}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    ran = "\n".join(step["run"] for step in steps() if "run" in step)
    for target in re.findall(r"^make ([\w-]+)$", ran, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert {"make test", "make audit", "make wheel", "make mcpb"} <= set(ran.splitlines())
    for script in re.findall(r"python3[.\d]* (\S+)", ran):
        assert (ROOT / script).is_file()


def test_the_page_of_licences_is_what_the_installed_packages_say() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_licences(page) == page, "run `python -m release.licences`"
    assert set(rows(page)) <= set(locked_names(LOCK.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", sorted(rows(PAGE.read_text(encoding="utf-8"))))
def test_no_package_binds_those_who_use_it(name: str) -> None:
    licence = rows(PAGE.read_text(encoding="utf-8"))[name]
    assert "GPL" not in licence
    for one in re.split(r" (?:AND|OR|or) ", licence):
        assert PERMISSIVE.search(one), licence


def test_what_wheels_bring_of_a_compiler_is_named_on_the_page() -> None:
    brought = [
        str(file)
        for name in runtime()
        for file in importlib.metadata.files(name) or ()
        if re.search(r"\.libs/", str(file)) and ".so" in file.name
    ]
    assert [path for path in brought if not COMPILER_LIBRARIES.search(path)] == []


def test_the_wheel_is_resolved_for_every_python_and_system_that_the_package_names() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert tuple(re.findall(r"Python :: (3\.\d+)", project)) == VERSIONS
    assert {platform.split("-")[1] for platform in PLATFORMS} == {"apple", "manylinux_2_35"}


def test_uv_takes_the_index_and_the_certificates_of_pip_unless_it_has_its_own() -> None:
    told = {"PIP_INDEX_URL": "https://index.test/simple", "PIP_CERT": "/certificates"}
    made = uv_environ(told)
    assert (made["UV_DEFAULT_INDEX"], made["SSL_CERT_FILE"]) == ("https://index.test/simple", "/certificates")
    assert uv_environ({**told, "UV_DEFAULT_INDEX": "https://own.test"})["UV_DEFAULT_INDEX"] == "https://own.test"


@pytest.mark.parametrize("body", ['{"vulnerabilities": []}', "{}", "<html>", "[]"])
def test_a_mirror_without_advisories_is_no_advisory_service(body: str) -> None:
    class Mirror(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    with HTTPServer(("127.0.0.1", 0), Mirror) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        assert not answers(f"http://127.0.0.1:{server.server_port}")
        thread.join(WAIT_S)


def test_an_audit_that_nobody_answers_says_so_and_is_green(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        service = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert audit(service) == 0
    assert capfd.readouterr().out == (
        f"audit: skipped, because the advisory service {service} cannot be reached from here.\n"
    )


def test_every_lock_that_builds_what_is_shipped_is_audited() -> None:
    # The clients of `make test-clients` are other people's programs, and nothing of theirs is shipped.
    locks = {*ROOT.glob("*.lock"), *(ROOT / "release").glob("*.lock")}
    assert set(LOCKS) == locks
