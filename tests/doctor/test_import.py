"""The import of mlx and mlx-lm, tried in a process of its own."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_local_llm.doctor.read import import_fault
from tests.doctor.facts import INSTALLATION, SOUND, told

BROKEN = {
    "a library that is missing": (
        'raise ImportError("libcuda.so.1: cannot open shared object file: No such file or directory")',
        "ImportError: libcuda.so.1: cannot open shared object file",
    ),
    "a fault without a word": ("import os; os._exit(3)", "exit code 3"),
    "an end as if all were well": ("raise SystemExit(0)", "exit code 0"),
    "a signal": ("import os; os.abort()", "the process was ended by SIGABRT"),
    "no end": ("import threading; threading.Event().wait()", "it did not end within 0.5 s"),
}


def shadowing(folder: Path, content: str) -> dict[str, str]:
    """The environment of a process that finds another mlx first."""
    (folder / "mlx").mkdir()
    (folder / "mlx" / "__init__.py").write_text("")
    (folder / "mlx" / "core.py").write_text(content)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_failed_import_is_told_by_its_last_line(tmp_path: Path, case: str) -> None:
    content, words = BROKEN[case]
    fault = await import_fault(shadowing(tmp_path, content), 0.5 if case == "no end" else 60)
    assert words in fault


async def test_a_sound_installation_says_nothing_and_imports_nothing_here(tmp_path: Path) -> None:
    before = "mlx_lm" in sys.modules
    assert await import_fault({"PATH": os.environ["PATH"], "HOME": str(tmp_path)}) == ""
    assert ("mlx_lm" in sys.modules) == before


def test_a_failed_import_is_a_problem_with_a_remedy() -> None:
    (sound,) = told(SOUND, "engine")
    assert sound.verdict == "ok"
    (broken,) = told(replace(SOUND, import_fault="ImportError: no such symbol"), "engine")
    assert (broken.verdict, "ImportError: no such symbol" in broken.text) == ("problem", True)
    assert "pipx reinstall" in broken.advice
    cuda = replace(INSTALLATION, versions={**INSTALLATION.versions, "mlx-cuda": "0.32.2"})
    (driver,) = told(replace(SOUND, installation=cuda, import_fault="ImportError: libcuda.so.1: cannot open"), "engine")
    assert "NVIDIA's driver" in driver.advice
    bare = replace(INSTALLATION, versions={"Python": "3.11.7"})
    assert told(replace(SOUND, installation=bare, import_fault="ModuleNotFoundError"), "engine") == []
