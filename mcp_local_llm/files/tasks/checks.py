"""Checks of answers whose form can be judged without a model: a fault is told in words, for one more try. Pure."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Literal, cast

from mcp_local_llm.files.writing.fenced_answer import unwrap
from mcp_local_llm.files.writing.syntax import syntax_fault

CheckName = Literal["json", "quote", "commit-message", "code"]
"""The answer is JSON; its quotes stand in the files; it is a commit message; it parses as the file that it becomes."""

MAX_SUBJECT = 72
"""Characters of a commit message's first line."""

MIN_QUOTE = 4
"""Characters that a quote needs, unless it is a whole line: shorter ones stand in any file."""

NOTHING_QUOTED = frozenset(("none", "normal"))
"""Classes of a file in which there is nothing to quote."""

_PREAMBLE = re.compile(
    r"(here('s| is| are)|sure\b|certainly|of course|the (commit )?(message|subject)|(commit )?(message|subject) ?:)",
    re.IGNORECASE,
)
_CONVENTIONAL = re.compile(r"[a-z]+(\([^)]*\))?!?:\s*")
_IMPERATIVES = frozenset(
    (
        "embed",
        "exceed",
        "feed",
        "need",
        "proceed",
        "seed",
        "shed",
        "speed",
        "succeed",
        "bring",
        "ping",
        "ring",
        "string",
    )
)
"""Words that end as a past tense or participle does and are none."""


@dataclass(frozen=True)
class Checked:
    """What an answer is checked against.

    Attributes:
        answer: the model's answer.
        sources: texts of the files that the model read.
        path: the file that the answer becomes, where it becomes one.
    """

    answer: str
    sources: Sequence[str] = ()
    path: PurePath | None = None


def fault(checks: Sequence[CheckName], checked: Checked) -> str:
    """Return the first fault of an answer as a clause, such as `its first line has 90 characters …`; else empty."""
    return next((found for name in checks if (found := _CHECKS[name](checked))), "")


def second_try(found: str) -> str:
    """Return the message that names a fault and asks for the answer again."""
    return (
        f"Your answer cannot be used: {found}. Answer again, whole and in the form that was asked for. "
        "Do not apologise or explain."
    )


def outcome(checks: Sequence[CheckName], faults: Sequence[str]) -> str:
    """Return a sentence about what the checks of an answer found; `faults` are those of each try, the last one last."""
    if not checks or not faults:
        return ""
    if faults[-1]:
        tries = " It was named to the model, and the second try has one as well." if len(faults) > 1 else ""
        return f"Check the answer: {faults[-1]}.{tries}"
    again = f" at the second try; the first had a fault: {faults[0]}" if len(faults) > 1 else ""
    return f"The answer passed its checks ({', '.join(checks)}){again}."


def without_unquoted(answer: str, sources: Sequence[str]) -> tuple[str, int]:
    """Leave out the findings of a JSON answer whose quote stands in no file; return the answer and their number."""
    try:
        value: object = json.loads(_json_text(answer))
    except (ValueError, RecursionError):
        return answer, 0
    dropped = 0

    def kept(part: object) -> Any:
        nonlocal dropped
        if isinstance(part, dict):
            return {name: kept(inner) for name, inner in cast(dict[str, object], part).items()}
        if not isinstance(part, list):
            return part
        inner = cast(list[object], part)
        good = [one for one in inner if not any(True for _ in _unquoted(one, sources))]
        dropped += len(inner) - len(good)
        return [kept(one) for one in good]

    return json.dumps(kept(value), ensure_ascii=False), dropped


def _json(checked: Checked) -> str:
    try:
        json.loads(_json_text(checked.answer))
    except ValueError as error:
        return f"it is no JSON: {error}"
    except RecursionError:
        return "it is nested too deeply"
    return ""


def _quote(checked: Checked) -> str:
    try:
        value: object = json.loads(_json_text(checked.answer))
    except (ValueError, RecursionError):
        return ""  # The check for JSON tells that.
    wrong = next(_unquoted(value, checked.sources), None)
    if wrong is None:
        return ""
    if not wrong.strip():
        return "a quote is empty; copy the line that shows it"
    return f"the quote {wrong[:80]!r} is not in the file; copy a line of the file letter by letter"


def _unquoted(value: object, sources: Sequence[str]) -> Iterator[str]:
    """Find the quotes that stand in no file; spaces and line ends do not count."""
    if isinstance(value, list):
        for inner in cast(list[object], value):
            yield from _unquoted(inner, sources)
    elif isinstance(value, dict):
        fields = cast(dict[str, object], value)
        quote = fields.get("quote")
        if isinstance(quote, str):
            words = " ".join(quote.split())
            nothing = not words and str(fields.get("class", "")).lower() in NOTHING_QUOTED
            if not nothing and not any(_stands_in(words, source) for source in sources):
                yield quote
        for inner in fields.values():
            yield from _unquoted(inner, sources)


def _stands_in(words: str, source: str) -> bool:
    if len(words) >= MIN_QUOTE:
        return words in " ".join(source.split())
    return bool(words) and words in (" ".join(line.split()) for line in source.splitlines())


def _commit_message(checked: Checked) -> str:
    text = checked.answer.strip()
    subject, *rest = text.split("\n")
    first_word = _CONVENTIONAL.sub("", subject.lower()).partition(" ")[0]
    faults = (
        (not text, "it is empty"),
        (text.startswith(("```", "~~~")), "it stands in a fence; answer with the bare message"),
        (_PREAMBLE.match(subject) is not None, "it begins with words about the message; answer with the bare message"),
        (subject[:1] in "\"'`*#“«" and bool(subject), "it begins with a quotation mark or markup; leave that out"),
        (
            len(subject) > MAX_SUBJECT,
            f"its first line has {len(subject)} characters, and at most {MAX_SUBJECT} are allowed",
        ),
        (subject.endswith("."), "its first line ends with a full stop"),
        (bool(rest) and bool(rest[0].strip()), "its second line has to be empty"),
        (
            first_word.isalpha() and first_word.endswith(("ed", "ing")) and first_word not in _IMPERATIVES,
            f"{first_word!r} is not imperative; begin as in 'Add' or 'Remove'",
        ),
    )
    return next((what for wrong, what in faults if wrong), "")


def _code(checked: Checked) -> str:
    """Check what becomes a file; a language that nothing here can parse has no fault."""
    path = checked.path or PurePath(f"answer{_ENDINGS.get(unwrap(checked.answer, PurePath('a.x')).language, '')}")
    return syntax_fault(path, unwrap(checked.answer, path).text) or ""


def _json_text(answer: str) -> str:
    return unwrap(answer, PurePath("answer.json")).text


_ENDINGS: Mapping[str, str] = MappingProxyType(
    {"python": ".py", "py": ".py", "json": ".json", "toml": ".toml", "yaml": ".yaml", "yml": ".yaml"}
)
_CHECKS: Mapping[CheckName, Callable[[Checked], str]] = MappingProxyType(
    {"json": _json, "quote": _quote, "commit-message": _commit_message, "code": _code}
)
