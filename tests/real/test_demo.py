"""The transcript in docs/demo.md of the demo's last chapter."""

import re
import subprocess
import sys

import pytest

from tests.clients import WAIT_S
from tests.test_readme import DEMO, ROOT, masked
from training.real_model import RealModel

pytestmark = pytest.mark.real

CHAPTER = re.compile(r"# A real model.*?(?=\nEverything answered|\Z)", re.DOTALL)


def test_the_demo_ends_with_the_chapter_of_the_readme(environ: dict[str, str], model: RealModel) -> None:
    shown = re.search(r"<!-- real -->\n```text\n(.*?)```\n<!-- /real -->", DEMO, re.DOTALL)
    assert shown is not None
    assert model.mlx.is_dir()
    demo = subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT, env=environ, capture_output=True, text=True, timeout=3 * WAIT_S, check=False,
    )  # fmt: skip
    assert demo.returncode == 0, demo.stdout + demo.stderr
    printed = CHAPTER.search(demo.stdout)
    assert printed is not None
    assert masked(printed[0].strip()) == masked(shown[1].strip())
