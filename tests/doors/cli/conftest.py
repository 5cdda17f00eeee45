"""What tests of the command line share: a process that holds the model, to which the commands attach."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import WAIT_S, private_environ
from tests.doors.cli.terminal import COMMAND
from tests.model_cache import place_tiny

OTHER = "acme/tiny-4bit"
"""A second model that loads."""


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of commands that share one `serve`, whose choice is tiny and which idles never."""
    home = tmp_path_factory.mktemp("held")
    place_tiny(home / ".cache" / "huggingface" / "hub", OTHER)
    choice = home / ".config" / "mlx-mcp" / "active_model"
    choice.parent.mkdir(parents=True)
    choice.write_text("tiny\n")
    project = home / "project"
    project.mkdir()
    environ = {**private_environ(home), "CLAUDE_PROJECT_DIR": str(project)}
    serving = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--idle-minutes", "0"], env=environ, stderr=subprocess.PIPE, text=True
    )
    assert serving.stderr is not None
    for line in serving.stderr:
        if "serving http" in line:
            break
    yield environ
    serving.terminate()
    serving.communicate(timeout=WAIT_S)


def folder(environ: dict[str, str]) -> Path:
    """The home folder of an environment."""
    return Path(environ["HOME"])
