"""Which folders count as roots, and why others do not."""

import os
from pathlib import Path

import pytest

import mcp_local_llm
from mcp_local_llm.files.access.roots import Roots, find_roots

PACKAGE = Path(mcp_local_llm.__file__).parent


def roots(tmp_path: Path, cwd: Path | None, more: tuple[Path, ...] = (), **environ: str) -> Roots:
    home, temp = tmp_path / "home" / "me", tmp_path / "temp"
    for folder in (home, temp):
        folder.mkdir(parents=True, exist_ok=True)
    return find_roots(environ, cwd=cwd, home=home, more=more, temp=temp)


def made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def test_the_variable_of_the_client_comes_before_the_working_folder(tmp_path: Path) -> None:
    project, other = made(tmp_path / "project"), made(tmp_path / "other")
    assert roots(tmp_path, other, CLAUDE_PROJECT_DIR=str(project)).folders == (project,)
    assert roots(tmp_path, other).folders == (other,)
    assert roots(tmp_path, other, CLAUDE_PROJECT_DIR=" ").folders == (other,)
    assert roots(tmp_path, None).folders == ()


REFUSED = [
    ("/", "root of the file system"),
    ("//", "root of the file system"),
    ("{tmp}/home/me", "home folder"),
    ("{tmp}/home/me/", "home folder"),
    ("{tmp}/home/me/x/..", "home folder"),
    ("{tmp}/link", "home folder"),
    ("{tmp}/home", "holds the home folder"),
    ("{tmp}", "holds the home folder"),
    ("{tmp}/temp", "temporary files"),
    ("/tmp", "temporary files"),
    ("/var/tmp", "temporary files"),
    ("{tmp}/home/me/.cache/uv", "cache of a package manager"),
    ("{tmp}/home/me/.cache/uv/archive-v0/x", "cache of a package manager"),
    ("{tmp}/home/me/.cache/pip/wheels", "cache of a package manager"),
    ("{tmp}/home/me/.npm/_npx/1", "cache of a package manager"),
    ("{tmp}/home/me/Library/Caches/uv/x", "cache of a package manager"),
    ("{tmp}/uvs/x", "cache of a package manager"),
    ("{tmp}/xdg/pip/x", "cache of a package manager"),
    ("{package}", "own package"),
    ("{package}/files", "own package"),
    ("{tmp}/file", "not a folder"),
    ("{tmp}/missing", "not a folder"),
    ("relative", "absolute"),
    ("/proc/self", "kernel"),
    ("/dev", "kernel"),
]


@pytest.mark.parametrize("source", ["variable", "cwd"])
@pytest.mark.parametrize(("path", "reason"), REFUSED)
def test_what_is_no_project_does_not_count_and_says_why(tmp_path: Path, path: str, reason: str, source: str) -> None:
    if path in ("/var/tmp", "/proc/self") and not Path(path).is_dir():
        pytest.skip("this system has no such folder")
    made(tmp_path / "home" / "me" / "x")
    (tmp_path / "link").symlink_to(tmp_path / "home" / "me")
    (tmp_path / "file").touch()
    path = path.replace("{tmp}", str(tmp_path)).replace("{package}", str(PACKAGE))
    if "cache" in reason:
        made(Path(path))
    variables = {"UV_CACHE_DIR": str(tmp_path / "uvs"), "XDG_CACHE_HOME": str(tmp_path / "xdg")}
    if source == "variable":
        found = roots(tmp_path, made(tmp_path / "other"), (), **variables, CLAUDE_PROJECT_DIR=path)
    else:
        found = roots(tmp_path, Path(path), (), **variables)
    assert found.folders == ()
    assert reason in found.told()
    assert "setting `roots`" in found.told()
    assert ("CLAUDE_PROJECT_DIR" in found.told()) is (source == "variable")


@pytest.mark.parametrize("path", ["temp/project", "home/me/project", "home/me/.cache/mine", "home/you", "uv/x"])
def test_a_project_below_home_or_the_temporary_folder_counts(tmp_path: Path, path: str) -> None:
    assert roots(tmp_path, made(tmp_path / path)).folders == (tmp_path / path,)


def test_the_folder_around_the_package_counts_for_those_who_work_on_it(tmp_path: Path) -> None:
    assert roots(tmp_path, PACKAGE.parent).folders == (Path(os.path.realpath(PACKAGE.parent)),)


def test_folders_of_the_settings_count_wherever_they_are_and_come_after_the_project(tmp_path: Path) -> None:
    project, home = made(tmp_path / "project"), made(tmp_path / "home" / "me")
    (tmp_path / "link").symlink_to(project)
    found = roots(tmp_path, project, (home, tmp_path / "link", tmp_path / "missing", Path("/proc")))
    assert found.folders == (project, home)
    assert [refused.path for refused in found.refused] == [str(tmp_path / "missing"), "/proc"]
    assert f"in {project}, {home}." in found.told()


def test_without_a_project_relative_names_belong_to_the_first_folder_of_the_settings(tmp_path: Path) -> None:
    notes = made(tmp_path / "notes")
    assert roots(tmp_path, Path("/"), (notes,)).base == notes


def test_roots_are_compared_by_whole_components_and_the_innermost_one_decides(tmp_path: Path) -> None:
    project, inner = made(tmp_path / "project"), made(tmp_path / "project" / "inner")
    found = roots(tmp_path, project, (inner,))
    assert found.root_of(inner / "a.py") == inner
    assert found.root_of(project / "a.py") == project
    assert found.root_of(tmp_path / "project-evil" / "a.py") is None
