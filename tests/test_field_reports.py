"""The table of reports from the field (`docs/field-reports.md`): every test that it names exists."""

import ast
import re
from pathlib import Path

import pytest

from tests.parsing.corpus import ALL

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "field-reports.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith(("| report |", "| --- |"))
]
CASES = {case["id"] for case in ALL}


def exists(name: str) -> bool:
    """Whether a test or a case of the parser's corpus has this name."""
    file, _, test = name.partition("::")
    if not test:
        return name in CASES
    path = ROOT / file
    return path.is_file() and test in {
        node.name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_report_names_tests_that_exist(row: list[str]) -> None:
    reports, *words, tests = row
    assert len(words) == 2
    assert all(words)
    assert reports == "own" or all(re.fullmatch(r"[\w.-]+(/[\w.-]+)?#\d+", one) for one in reports.split(", "))
    named = re.findall(r"`([^`]+)`", tests)
    assert named
    assert [name for name in named if not exists(name)] == []
