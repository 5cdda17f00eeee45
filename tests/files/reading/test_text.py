"""Bytes → text, and lines as editors count them."""

import codecs

import pytest

from mcp_local_llm.files.reading.text import decoded, lines_of
from mcp_local_llm.values.errors import FileAccessError
from tests.files.reading.project import Project

ENCODINGS = [
    (b"plain", "plain", False),
    ("Größe €".encode(), "Größe €", False),
    (codecs.BOM_UTF8 + b"x", "x", False),
    (codecs.BOM_UTF16_LE + "Größe\n".encode("utf-16-le"), "Größe\n", False),
    (codecs.BOM_UTF16_BE + "Größe\n".encode("utf-16-be"), "Größe\n", False),
    (codecs.BOM_UTF32_LE + "Größe".encode("utf-32-le"), "Größe", False),
    (codecs.BOM_UTF32_BE + "Größe".encode("utf-32-be"), "Größe", False),
    ("Größe".encode("latin-1"), "Größe", True),
    (codecs.BOM_UTF8 + b"\xff\xfex", "ï»¿ÿþx", True),
    (b"\x1b[31mred\x1b[0m \x08 \x0c", "\x1b[31mred\x1b[0m \x08 \x0c", False),
    (b"", "", False),
    (codecs.BOM_UTF8, "", False),
]


@pytest.mark.parametrize(("content", "text", "guessed"), ENCODINGS)
def test_the_encoding_is_told_by_the_mark_or_is_utf_8_or_is_guessed(content: bytes, text: str, guessed: bool) -> None:
    found = decoded(content, "x")
    assert (found.text, found.guessed) == (text, guessed)


@pytest.mark.parametrize(
    "content",
    [
        b"a\0b",
        b"\0",
        "text".encode("utf-16-le"),
        codecs.BOM_UTF16_LE + b"\x00\xd8\x00",
        b"\x1f\x8b\x08abc",
        b"PK\x03\x04abc",
    ],
)
def test_what_is_no_text_is_refused(content: bytes) -> None:
    with pytest.raises(FileAccessError, match="x is binary") as caught:
        decoded(content, "x")
    assert caught.value.kind == "binary"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\nb\n", ["a\n", "b\n"]),
        ("a\r\nb\rc\n\n", ["a\r\n", "b\r", "c\n", "\n"]),
        ("\n\r", ["\n", "\r"]),
        ("a\fb\vc\x1cd\x85e\u2028f\u2029g", ["a\fb\vc\x1cd\x85e\u2028f\u2029g"]),
    ],
)
def test_lines_end_only_where_editors_end_them(text: str, lines: list[str]) -> None:
    assert lines_of(text) == lines


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_ranges_count_lines_by_any_end_and_keep_it(project: Project, ends: str) -> None:
    project.write("x.txt", ends.join(["one\f\u2028", "two\x85", "three", ""]))
    (text,) = project.read("x.txt:2-3").texts
    assert (text.text, text.total) == (f"two\x85{ends}three{ends}", 3)


def test_a_guessed_encoding_is_noted(project: Project) -> None:
    project.write("x.txt", "Größe\n".encode("latin-1"))
    reading = project.read("x.txt")
    assert reading.texts[0].text == "Größe\n"
    assert reading.notes == ("x.txt is no UTF-8; it was read as Latin-1, which is a guess.",)
