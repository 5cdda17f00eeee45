"""A project on a real file system, and a home beside it with secrets that nothing may read."""

from pathlib import Path

import pytest

from tests.files.reading.project import Project, new_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return new_project(tmp_path)
