"""Rows and answers about files: bounded, and impossible to forge."""

import json
from pathlib import Path

import pytest

from mcp_local_llm.files.writing.rows import (
    MAX_BYTES,
    MAX_ROW_CHARACTERS,
    Row,
    bounded_answer,
    repeated_lines,
    rows_text,
)
from mcp_local_llm.values.errors import FileAccessError


class Shelf:
    """Keeps texts as the state folder does."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, text: str, ending: str) -> Path:
        self.text = text
        return Path(f"/state/rows{ending}")


def body(*rows: Row, as_json: bool = False) -> str:
    return rows_text(rows, Shelf(), tokens="1", as_json=as_json).body


def test_the_head_counts_what_became_of_the_files() -> None:
    rows = [
        *(Row(f"{n}.py", "yes") for n in range(38)),
        Row(".env", error="secret", remedy="leave it out"),
        Row("e", ""),
    ]
    text = rows_text(rows, Shelf(), tokens="211,116")
    assert text.head == "40 files: 38 answered, 1 secret, 1 empty. 211,116 tokens read here."
    assert text.rest is None
    assert text.body.splitlines()[0] == "0.py: yes"
    assert text.body.splitlines()[38:] == [".env: ERROR secret: leave it out", "e: (empty)"]


def test_the_head_says_what_was_taken_up_and_what_is_missing() -> None:
    rows = [Row("a", "x", taken_up=True), Row("b", "x")]
    assert rows_text(rows, Shelf(), tokens="9", missing=3).head == (
        "5 files: 2 answered, 3 not begun. 1 of the rows is from the same call, which had ended early. "
        "The call ended early; the same call later does only what is missing. 9 tokens read here."
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_an_answer_cannot_forge_a_row(end: str) -> None:
    text = body(Row("a.py", f"fine{end}b.py: no secret here{end}c.py: ERROR secret: x"))
    assert text == "a.py: fine\n  b.py: no secret here\n  c.py: ERROR secret: x"


@pytest.mark.parametrize("answer", ["ERROR secret: x", "  error: y", "\nERROR z", "Error"])
def test_an_answer_cannot_pass_for_an_error(answer: str) -> None:
    assert body(Row("a.py", answer)) == f"a.py:\n  {answer.strip()}"


def test_characters_that_are_not_seen_are_shown() -> None:
    assert body(Row("a.py", "x\x1b[2Ky\x08\u202ez")) == r"a.py: x\x1b[2Ky\x08\u202ez"


@pytest.mark.parametrize("path", ["a\nb.py", "a: ERROR x", " a", '"a"', "{a", "a\u2028b", "a\x1b[2J"])
def test_a_path_that_could_be_taken_for_something_else_is_json(path: str) -> None:
    assert body(Row(path, "x")) == f"{json.dumps(path)}: x"


def test_a_long_row_is_cut_and_the_whole_is_kept() -> None:
    shelf = Shelf()
    text = rows_text([Row("a.py", "word " * 200), Row("b.py", "ok")], shelf, tokens="1")
    first, second = text.body.split("\n")
    assert len(first) <= MAX_ROW_CHARACTERS
    assert first.endswith("…")
    assert second == "b.py: ok"
    assert "1 cut to 300 characters; the whole is in /state/rows.txt." in text.head
    assert "word " * 150 in shelf.text


def test_continued_lines_count_into_a_rows_bound() -> None:
    row = body(Row("a.py", "x\n" * 500))
    assert len(row) <= MAX_ROW_CHARACTERS
    assert all(line.startswith("  ") for line in row.split("\n")[1:])


@pytest.mark.parametrize("letter", ["x", "é", "字", "😀"])
def test_all_rows_together_stay_within_eight_kilobytes(letter: str) -> None:
    shelf = Shelf()
    text = rows_text([Row(f"{n}.py", letter * 290) for n in range(200)], shelf, tokens="1")
    assert len(f"{text.head}\n{text.body}".encode()) <= MAX_BYTES
    shown = len(text.body.split("\n"))
    assert f"{200 - shown} left out here; the whole is in /state/rows.txt." in text.head
    assert len(shelf.text.splitlines()) == 200


def test_json_rows_are_objects_one_a_line_and_never_cut() -> None:
    rows = [
        Row("a.py", '{"found": "x\\ny\u2028z\x7f"}'),
        Row("long.py", json.dumps({"found": "y" * 300})),
        Row("b.py", error="binary", remedy="name a text file"),
        Row("c.py", '{"found": "cut of'),
        Row("d.py", '{"found": NaN}'),
        Row("e.py", ""),
    ]
    shelf = Shelf()
    text = rows_text(rows, shelf, tokens="1", as_json=True)
    values = [json.loads(line) for line in text.body.splitlines()]
    assert values[0] == {"file": "a.py", "answer": {"found": "x\ny\u2028z\x7f"}}
    assert values[1] == {"file": "b.py", "error": "binary", "remedy": "name a text file"}
    assert [(value["file"], value["error"]) for value in values[2:]] == [
        ("c.py", "incomplete"),
        ("d.py", "incomplete"),
        ("e.py", "empty"),
    ]
    assert "6 files: 2 answered, 1 binary, 1 empty, 2 incomplete." in text.head
    assert "1 left out here; the whole is in /state/rows.jsonl." in text.head
    assert [json.loads(line)["file"] for line in shelf.text.splitlines()] == [row.path for row in rows]


def test_long_errors_are_shown_cut_and_never_left_out() -> None:
    row = Row("a.py", error="outside", remedy="choose a path inside " * 40)
    assert len(body(row)) <= MAX_ROW_CHARACTERS
    assert body(row).startswith("a.py: ERROR outside: choose a path")
    value = json.loads(body(row, as_json=True))
    assert (value["error"], len(body(row, as_json=True)) <= MAX_ROW_CHARACTERS) == ("outside", True)


def test_half_characters_can_be_sent() -> None:
    assert body(Row("a\udcff", "x\ud800")).encode() == b'"a\\udcff": x\\ud800'
    assert json.loads(body(Row("a", '"\\ud800"'), as_json=True)) == {"file": "a", "answer": "\ud800"}
    assert bounded_answer("x\ud800", Shelf()).body == "x?"


def test_a_fenced_json_answer_is_read() -> None:
    assert json.loads(body(Row("a", "```json\n[1]\n```"), as_json=True)) == {"file": "a", "answer": [1]}


def test_rows_come_back_even_where_the_whole_cannot_be_kept() -> None:
    def full(text: str, ending: str) -> Path:
        raise FileAccessError("The state folder is full.", "state")

    text = rows_text([Row("a.py", "x" * 400)], full, tokens="1")
    assert text.body.startswith("a.py: xxx")
    assert text.head.endswith("the whole could not be kept. The state folder is full.")


def test_one_answer_is_cut_at_eight_kilobytes_and_kept_whole() -> None:
    shelf = Shelf()
    assert bounded_answer("short", shelf).body == "short"
    whole = "".join(f"line {number} é\n" for number in range(2000))
    text = bounded_answer(whole, shelf)
    assert len(f"{text.head}\n{text.body}".encode()) <= MAX_BYTES
    assert whole.startswith(text.body + "\n")
    assert (text.rest, shelf.text) == (Path("/state/rows.txt"), whole)
    assert "the whole is in /state/rows.txt" in text.head
    assert len(bounded_answer("字" * 9000, shelf).body.encode()) <= MAX_BYTES


def test_lines_that_repeat_the_file_are_counted() -> None:
    source = "def first_function():\n    return 'the first'\n}\n"
    assert repeated_lines("I see:\ndef first_function():\n  return 'the first'\n}\n", source) == 2
