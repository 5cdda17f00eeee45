"""Long texts are cut at natural borders into parts that fit, and no line is lost."""

import re
from itertools import pairwise

import pytest

from mcp_local_llm.files.reading.file_text import FileText
from mcp_local_llm.files.reading.split import OVERLAP_LINES, part_budget, split
from mcp_local_llm.files.reading.text import lines_of
from mcp_local_llm.values.chat import estimated_tokens


def words(text: str) -> int:
    """A tokenizer: words, and each line end."""
    return len(re.findall(r"\w+|[^\w\s]|\n", text))


def file(name: str, text: str) -> FileText:
    count = len(lines_of(text))
    return FileText(name, text, 1, count, count)


def code(definitions: int, lines: int) -> str:
    body = "".join(f"    line_{number} = {number}\n" for number in range(lines))
    return "\n".join(f"def function_{number}():\n{body}" for number in range(definitions))


def test_a_text_that_fits_stays_as_it_is() -> None:
    text = file("a.py", code(2, 3))
    assert split(text, words, 1000) == (text,)


TEXTS = {
    "a.py": code(40, 7),
    "long.py": code(1, 400),
    "notes.md": "\n".join(f"# Part {n}\n\nSome words of paragraph {n}.\nMore words.\n" for n in range(60)),
    "app.log": "".join(f"2026-11-29 12:00:{n:02} INFO request {n} took {n} ms\n" for n in range(300)),
    "min.js": "var a=1;" * 800,
    "mixed.js": "x\n" + "var a=1;" * 300 + "\ny\n" + "z\n" * 200,
    "crlf.txt": "one two three\r\n" * 200,
    "cr.txt": "one two three\r" * 200,
    "blank.txt": "\n" * 500,
    "git:staged": "".join(
        f"diff --git a/{n}.py b/{n}.py\n--- a/{n}.py\n+++ b/{n}.py\n@@ -1,3 +1,3 @@\n" + "-old\n+new\n same\n" * 9
        for n in range(20)
    ),
    "data.json": "[\n" + ",\n".join(f'  {{"id": {n}}}' for n in range(300)) + "\n]\n",
}


@pytest.mark.parametrize("budget", [60, 200, 333])
@pytest.mark.parametrize("name", TEXTS)
def test_parts_fit_and_hold_every_line_in_order(name: str, budget: int) -> None:
    text = file(name, TEXTS[name])
    parts = split(text, words, budget)
    assert [(part.part, part.parts) for part in parts] == [(number + 1, len(parts)) for number in range(len(parts))]
    lines = lines_of(text.text)
    joined, done = "", 0
    for part in parts:
        assert words(part.text) <= budget
        assert (part.name, part.total) == (text.name, text.total)
        assert 1 <= part.first <= part.last <= text.total
        if part.text == "".join(lines[part.first - 1 : part.last]):
            assert done + 1 - OVERLAP_LINES <= part.first <= done + 1
            joined += "".join(lines[done : part.last])
            done = part.last
        else:
            assert part.inside == f"line {part.first} in pieces"
            joined += part.text
            done = part.last
    assert joined == text.text


def test_code_is_cut_at_definitions_without_overlap() -> None:
    parts = split(file("a.py", TEXTS["a.py"]), words, 200)
    assert all(part.text.startswith("def function_") for part in parts)
    assert [part.first for part in parts[1:]] == [part.last + 1 for part in parts[:-1]]
    assert {part.inside for part in parts} == {""}


def test_a_part_that_begins_inside_a_definition_says_which_encloses_it() -> None:
    inner = "".join(f"            step({number})\n" for number in range(200))
    text = f"import os\n\n\nclass Machine:\n    size = 1\n\n    def run(self):\n        if True:\n{inner}"
    _, *rest = split(file("a.py", text), words, 200)
    assert {part.inside for part in rest} == {"class Machine: / def run(self): / if True:"}


def test_a_diff_is_cut_at_its_files_and_a_part_inside_one_says_of_which() -> None:
    parts = split(file("git:staged", TEXTS["git:staged"]), words, 400)
    assert all(part.text.startswith("diff --git") for part in parts)
    small = split(file("git:staged", TEXTS["git:staged"]), words, 60)
    inside = [part for part in small if not part.text.startswith("diff --git")]
    assert inside
    assert all(part.inside.startswith("diff --git a/") and "@@" in part.inside + part.text for part in inside)


def test_prose_is_cut_at_headings_and_logs_repeat_some_lines() -> None:
    notes = split(file("notes.md", TEXTS["notes.md"]), words, 200)
    assert all("# Part" in "".join(lines_of(part.text)[: OVERLAP_LINES + 1]) for part in notes)
    log = split(file("app.log", TEXTS["app.log"]), words, 400)
    assert [one.last + 1 - other.first for one, other in pairwise(log)] == [
        min(OVERLAP_LINES, len(lines_of(part.text)) // 4) for part in log[:-1]
    ]


def test_a_range_keeps_its_own_line_numbers() -> None:
    text = FileText("a.py", code(10, 5), 101, 169, 400)
    parts = split(text, words, 100)
    assert (parts[0].first, parts[-1].last) == (101, 169)


def test_the_tokenizer_is_asked_a_bounded_number_of_times() -> None:
    asked = [0]

    def count(text: str) -> int:
        asked[0] += 1
        return words(text)

    for name, text in TEXTS.items():
        asked[0] = 0
        parts = split(file(name, text), count, 200)
        assert asked[0] <= 20 * len(parts) + 5, name


def test_what_cannot_fit_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="not even one letter"):
        split(file("a.py", "abc"), len, 0)


@pytest.mark.parametrize(("window", "budget"), [(4096, 1024), (32_768, 8192), (262_144, 8192)])
def test_a_part_has_a_quarter_of_the_window_and_8192_tokens_at_most(window: int, budget: int) -> None:
    assert part_budget(window) == budget


def test_without_a_tokenizer_rather_too_many_tokens_are_assumed() -> None:
    assert estimated_tokens(300) == 200
