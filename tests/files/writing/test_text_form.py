"""The form of a file outlives its replacement."""

import codecs

import pytest

from mcp_local_llm.files.writing.text_form import TextForm, read_text
from mcp_local_llm.values.errors import FileAccessError


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"a\nb\n", b"x\ny\n"),
        (b"a\r\nb\r\n", b"x\r\ny\r\n"),
        (b"a\rb\r", b"x\ry\r"),
        (b"a\nb", b"x\ny"),
        (b"a\r\nb", b"x\r\ny"),
        (b"", b"x\ny\n"),
        (b"one line", b"x\ny"),
        (codecs.BOM_UTF8 + b"a\n", codecs.BOM_UTF8 + b"x\ny\n"),
        (codecs.BOM_UTF16_LE + "a\r\n".encode("utf-16-le"), codecs.BOM_UTF16_LE + "x\r\ny\r\n".encode("utf-16-le")),
        (codecs.BOM_UTF16_BE + "a\n".encode("utf-16-be"), codecs.BOM_UTF16_BE + "x\ny\n".encode("utf-16-be")),
        (codecs.BOM_UTF32_LE + "a\n".encode("utf-32-le"), codecs.BOM_UTF32_LE + "x\ny\n".encode("utf-32-le")),
        (b"a\x0cb\x85c\n", b"x\ny\n"),
        ("a\u2028b\r\n".encode(), b"x\r\ny\r\n"),
    ],
)
@pytest.mark.parametrize("answer", ["x\ny", "x\ny\n", "\nx\r\ny\r\n\n", "\ufeffx\ny"])
def test_encoding_mark_and_line_ends_are_kept(old: bytes, new: bytes, answer: str) -> None:
    assert read_text(old)[1].encode(answer) == (new, ())


def test_mixed_line_ends_become_those_of_most_lines_and_that_is_said() -> None:
    content, (warning,) = read_text(b"a\r\nb\r\nc\n")[1].encode("x\ny")
    assert content == b"x\r\ny\r\n"
    assert "mixed" in warning


def test_a_latin_file_stays_one_as_long_as_the_answer_allows() -> None:
    form = read_text("café\n".encode("latin-1"))[1]
    assert form.encode("thé") == ("thé\n".encode("latin-1"), ())
    content, (warning,) = form.encode("œuf")
    assert (content, "UTF-8" in warning) == ("œuf\n".encode(), True)


def test_half_characters_are_no_reason_to_fail() -> None:
    content, (warning,) = TextForm().encode("a\ud800b")
    assert (content, "surrogates" in warning) == (b"a?b\n", True)


@pytest.mark.parametrize("content", [b"\x7fELF\0\0", b"a\0b", codecs.BOM_UTF8 + b"\xff\xfe\xfd"])
def test_a_binary_file_is_refused(content: bytes) -> None:
    with pytest.raises(FileAccessError) as caught:
        read_text(content)
    assert caught.value.kind == "binary"
