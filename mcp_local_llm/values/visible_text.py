"""Text of others on one line, with nothing in it that a reader would not see: names, reasons, rows."""

import re

LINE_BREAKS = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
"""Everything that some program shows as the end of a line."""

UNSEEN = re.compile(r"[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that move a terminal's cursor, turn the direction of writing, or are halves that cannot be sent."""


def visible(text: str) -> str:
    """Show characters that would not be seen as their escapes."""
    return UNSEEN.sub(_escaped, text)


def one_line(text: str) -> str:
    """Show everything that does not belong into a line as its escape."""
    return LINE_BREAKS.sub(_escaped, visible(text))


def printable(text: str, keep: str = "") -> str:
    """Return the text with a blank for each character that is not printable, but for those of `keep`."""
    return "".join(letter if letter.isprintable() or letter in keep else " " for letter in text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
