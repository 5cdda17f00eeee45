"""The form of a text file beyond its letters: encoding, byte order mark, line ends, last line end. Pure."""

import re
from collections import Counter
from dataclasses import dataclass

from mcp_local_llm.files.byte_order_marks import MARKS
from mcp_local_llm.values.errors import FileAccessError

LINE_END = re.compile(r"\r\n|\n|\r")
"""What ends a line; unlike `str.splitlines`, no form feed and no U+2028 do."""


@dataclass(frozen=True)
class TextForm:
    """How a file stores its text.

    Attributes:
        mark: the byte order mark, or nothing.
        line_end: the one that most lines have.
        mixed: whether there are others.
        closed: whether the last line has an end.
    """

    encoding: str = "utf-8"
    mark: bytes = b""
    line_end: str = "\n"
    mixed: bool = False
    closed: bool = True

    def encode(self, text: str) -> tuple[bytes, tuple[str, ...]]:
        """Return the bytes of a text in this form, and warnings about what could not be kept."""
        warnings = [f"The file mixed line ends; every line now has {self.line_end!r}."] if self.mixed else []
        body = LINE_END.sub("\n", text.removeprefix("\ufeff")).strip("\n")
        body = (body + "\n" if self.closed else body).replace("\n", self.line_end)
        try:
            return self.mark + body.encode(self.encoding), tuple(warnings)
        except UnicodeEncodeError:
            if self.encoding != "latin-1":
                warnings.append("The answer held half characters (lone surrogates); each is a question mark now.")
                return self.mark + body.encode(self.encoding, "replace"), tuple(warnings)
            warnings.append("The file was not UTF-8, and the answer has letters that Latin-1 lacks: it is UTF-8 now.")
            return body.encode("utf-8", "replace"), tuple(warnings)


def read_text(content: bytes) -> tuple[str, TextForm]:
    r"""Return a file's text, each line ended by `\n`, and its form; Latin-1 where it is not Unicode.

    Raises:
        FileAccessError: it is no text.
    """
    mark, encoding = next(((mark, name) for mark, name in MARKS if content.startswith(mark)), (b"", "utf-8"))
    if not mark and b"\0" in content[:8192]:
        raise FileAccessError("It is a binary file, and answers are text.", "binary")
    body = content[len(mark) :]
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        if mark:
            raise FileAccessError(f"Its byte order mark says {encoding}, and it is not.", "binary") from error
        text, encoding = body.decode("latin-1"), "latin-1"
    ends = Counter(LINE_END.findall(text))
    line_end = ends.most_common(1)[0][0] if ends else "\n"
    form = TextForm(encoding, mark, line_end, len(ends) > 1, not text or text.endswith(("\n", "\r")))
    return LINE_END.sub("\n", text), form
