"""The page says what the tests prove: no line without a test, no proof without a line."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reliability.page import PAGE
from tests.reliability.proofs import LIST
from tests.source import ROOT


@pytest.mark.slow
def test_each_fault_has_its_line_and_lost_nothing(tmp_path: Path) -> None:
    files = [str(path) for path in (ROOT / "tests").rglob("test_*.py") if "mark.fault(" in path.read_text()]
    listed = tmp_path / "faults.json"
    everything = ["-m", "fault", LIST, str(listed), "--collect-only", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *everything, *files], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    promised = {(fault["what"], fault["promised"]): fault["tries"] for fault in json.loads(listed.read_text())}
    page = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^.*\*\*\d+\*\* \|$", page, re.MULTILINE) == []
    rows = re.findall(r"^\| (.*) \| (.*) \| ([\d,]+) \| nothing \|$", page, re.MULTILINE)
    assert {(what.replace("\\|", "|"), words.replace("\\|", "|")) for what, words, _ in rows} == set(promised)
