"""What the check-up found, one thing at a time."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "note", "problem"]
"""`note`: worth knowing, works without you; `problem`: needs you."""


@dataclass(frozen=True)
class Finding:
    """One thing.

    Attributes:
        name: what it is about, one or two words.
        text: what was found, one line.
        advice: what to do; it may be several lines, e.g. of a file. Empty where there is nothing to do.
    """

    name: str
    verdict: Verdict
    text: str
    advice: str = ""


def wrong(findings: Iterable[Finding]) -> bool:
    """Say whether anything needs the user."""
    return any(finding.verdict == "problem" for finding in findings)
