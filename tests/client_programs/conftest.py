"""What the tests of client programs share."""

from pathlib import Path

import pytest

from tests.client_programs.claude_program import closed_environ


@pytest.fixture
def claude_environ(tmp_path: Path) -> dict[str, str]:
    return closed_environ(tmp_path)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with a file to read."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "notes.txt").write_text("Buy milk.\n")
    return folder
