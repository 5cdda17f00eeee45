"""What work costs the context of the real Claude Code: done by itself, and handed over with one call."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from tests.client_programs.claude_program import WHERE_IT_RUNS
from tests.client_programs.delegated import END, FUNCTIONS, MISTAKE, PAGE, START, WORKS, measure, module

pytestmark = WHERE_IT_RUNS


@pytest.mark.parametrize("name", ["sources", "logs"])
def test_forty_files_in_one_call_cost_a_small_share_of_the_context_that_reading_them_costs(
    name: str, tmp_path: Path
) -> None:
    work = WORKS[name]
    costs = measure(work, tmp_path)
    assert costs.alone > sum(map(len, work.files.values()))
    assert costs.handed <= work.share * costs.alone
    assert "40 files: 40 answered." in costs.result
    head, *answers = costs.result.splitlines()
    assert answers == [f"{file}: {answer}" for file, answer in zip(work.files, work.answers.values(), strict=True)]
    tokenizer: Any = Tokenizer.from_file(str(tmp_path / "models" / "reciting" / "tokenizer.json"))
    read = sum(len(tokenizer.encode(content, add_special_tokens=False).ids) for content in work.files.values())
    assert f" {read:,} tokens read here." in head


def test_rows_of_a_schema_come_back_for_each_letter(tmp_path: Path) -> None:
    work = WORKS["rows"]
    costs = measure(work, tmp_path)
    assert costs.handed <= work.share * costs.alone
    rows = [json.loads(line) for line in costs.result.splitlines() if line.startswith("{")]
    assert [row["answer"] for row in rows] == [json.loads(answer) for answer in work.answers.values()]


def test_a_diff_is_looked_over_without_coming_into_the_context(tmp_path: Path) -> None:
    work = WORKS["diff"]
    costs = measure(work, tmp_path)
    assert costs.handed <= work.share * costs.alone
    assert MISTAKE.strip() in costs.result


def test_an_edit_by_draft_costs_less_than_the_agents_own_and_does_the_same(tmp_path: Path) -> None:
    work = WORKS["edit"]
    costs = measure(work, tmp_path)
    assert costs.handed <= work.share * costs.alone
    written = {(tmp_path / way / "prices.py").read_text() for way in ("alone", "handed")}
    assert written == {module(FUNCTIONS, documented=True)}


def test_the_page_shows_a_measurement_of_each_work() -> None:
    table = PAGE.read_text(encoding="utf-8").partition(START)[2].partition(END)[0]
    shown = {
        title: float(share) / 100
        for title, share in re.findall(r"^\| ([^|]+) \| [\d,]+ \| [\d,]+ \| ([\d.]+)% \|$", table, re.MULTILINE)
    }
    assert set(shown) == {work.title for work in WORKS.values()}, "run `python -m tests.client_programs.delegated`"
    assert all(shown[work.title] <= work.share for work in WORKS.values())
