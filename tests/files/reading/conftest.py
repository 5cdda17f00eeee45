"""A project on a real file system, and a home beside it with secrets that nothing may read."""

from pathlib import Path

import pytest

from tests.files.reading.project import PLANTED, Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder, home = tmp_path / "work" / "project", tmp_path / "home"
    folder.mkdir(parents=True)
    home.mkdir()
    made = Project(folder, home)
    made.write("a.py", "one\ntwo\nthree\nfour\nfive\n")
    made.write("src/app.py", "app\n")
    made.write(".env", PLANTED)
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id_rsa").write_text(PLANTED)
    (tmp_path / "work" / "outside.txt").write_text(PLANTED)
    (tmp_path / "work" / "project-evil").mkdir()
    (tmp_path / "work" / "project-evil" / "a.py").write_text(PLANTED)
    return made
