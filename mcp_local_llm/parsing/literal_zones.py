"""Follows fences and inline code (R2) through a text that arrives in pieces. Pure; it must not know markup.

`scan_markup` finds the same zones in a whole text. Whether a place lies in one depends on the text before it alone.
"""


class LiteralZones:
    """The zones of one channel so far, a character at a time.

    Attributes:
        line_is_blank: whether nothing visible stands on the current line yet.
    """

    def __init__(self, *, line_is_blank: bool = True) -> None:
        self.line_is_blank = line_is_blank
        self._fence = ""
        self._begin_line()

    @property
    def quoted(self) -> bool:
        """Whether what comes next is literal."""
        return self._fence != "" or self._runs % 2 == 1

    @property
    def undecided(self) -> bool:
        """Whether the current line may still turn out to open a fence."""
        return not self._fence and self._may_be_fence and len(self._mark) >= 3

    def feed(self, text: str) -> None:
        """Take the next piece of the text."""
        for char in text:
            if char == "\n":
                self._end_line()
                self.line_is_blank = True
            else:
                self._take(char)
                self.line_is_blank = self.line_is_blank and char.isspace()

    def _begin_line(self) -> None:
        self._indent = 0
        self._mark = ""
        self._info = False
        self._may_be_fence = True
        self._runs = 0
        self._in_run = False

    def _take(self, char: str) -> None:
        self._runs += char == "`" and not self._in_run
        self._in_run = char == "`"
        if not self._may_be_fence:
            return
        if not self._mark and char == " ":
            self._indent += 1
            self._may_be_fence = self._indent <= 3
        elif not self._info and char in "`~" and self._mark in ("", char * len(self._mark)):
            self._mark += char
        else:
            # The info string of a backtick fence holds no backtick, and behind a closing fence stands nothing.
            self._info = True
            wrong = char == "`" and self._mark.startswith("`")
            self._may_be_fence = len(self._mark) >= 3 and not wrong and not (self._fence and not char.isspace())

    def _end_line(self) -> None:
        if self._may_be_fence and len(self._mark) >= 3:
            if not self._fence:
                self._fence = self._mark
            elif self._mark.startswith(self._fence):
                self._fence = ""
        self._begin_line()
