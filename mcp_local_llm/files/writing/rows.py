"""Answers about files as text for an agent, within bounds: an answer cannot pass for a row, nor a row for an error.

The head says what this program says; it belongs in a text block of its own, apart from the rows with the model's words.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from mcp_local_llm.files.writing.fenced_answer import unwrap
from mcp_local_llm.values.errors import FileAccessError
from mcp_local_llm.values.visible_text import LINE_BREAKS, UNSEEN, visible
from mcp_local_llm.wire.json_values import on_one_line

MAX_ROW_CHARACTERS = 300
"""Characters of a row that come back, its path and the marks of its lines included."""

MIN_ANSWER_CHARACTERS = 40
"""Characters of an answer that come back where the path alone fills the row."""

MAX_BYTES = 8192
"""UTF-8 bytes that come back in all, head and rows together."""

HEAD_BYTES = 1024
"""Bytes of these that are kept free for the head."""

INDENT = "  "
CUT = "…"
"""Marks of a continued line and of a cut end."""


@dataclass(frozen=True)
class Row:
    """The outcome for one file.

    Attributes:
        path: the file as the call names it.
        answer: the model's answer; empty where there is none.
        error: one word that says why there is none, such as `secret`; empty where there is an answer.
        remedy: what to do about the error.
        taken_up: whether the answer is that of an earlier call that ended early.
    """

    path: str
    answer: str = ""
    error: str = ""
    remedy: str = ""
    taken_up: bool = False


@dataclass(frozen=True)
class Bounded:
    """A text within the bounds.

    Attributes:
        head: words of this program, about what is here and where the rest is.
        body: the model's words.
        rest: the file that holds everything, None where nothing was left out.
    """

    head: str
    body: str
    rest: Path | None = None


Keep = Callable[[str, str], Path]
"""Keeps a text (with the ending of its file, such as `.txt`) and returns where, as `StateFolder.keep_answer` does."""


def rows_text(
    rows: Sequence[Row],
    keep: Keep,
    *,
    tokens: str,
    as_json: bool = False,
    missing: int = 0,
    errors_only: bool = False,
) -> Bounded:
    """Write the rows in their order, and everything into a file where that is more than may come back.

    Args:
        rows: the outcomes, in the order of the call's files.
        keep: keeps the whole text.
        tokens: number of tokens of the files that the model read, in words.
        as_json: one JSON object a line, never cut.
        missing: files that a call which ended early has no row for.
        errors_only: the answers are counted and not written, because they went elsewhere.
    """
    rows = [_checked(row) if as_json else row for row in rows]
    head, rest = _counts(rows, missing, tokens), None
    rows = [row for row in rows if row.error or not errors_only]
    write = json_row if as_json else text_row
    shown: list[str] = []
    budget, cut, left_out, full = MAX_BYTES - HEAD_BYTES, 0, 0, False
    for row in rows:
        whole = short = write(row, None)
        if len(whole) > MAX_ROW_CHARACTERS:
            short = None if as_json and not row.error else write(row, MAX_ROW_CHARACTERS)
        size = 0 if short is None else len(short.encode()) + 1
        full = full or size > budget
        if short is None or full:
            left_out += 1
            continue
        shown.append(short)
        budget -= size
        cut += short != whole
    if cut or left_out:
        text = "\n".join(write(row, None) for row in rows) + "\n"
        rest, where = _kept(keep, text, ".jsonl" if as_json else ".txt")
        parts = [f"{cut} cut to {MAX_ROW_CHARACTERS} characters"] if cut else []
        parts += [f"{left_out} left out here"] if left_out else []
        head += f" {' and '.join(parts)}; {where}"
    return Bounded(head, "\n".join(shown), rest)


def bounded_answer(text: str, keep: Keep) -> Bounded:
    """Bound one answer about files; the whole of a longer one is kept in a file."""
    data = text.encode("utf-8", "replace")
    if len(data) <= MAX_BYTES:
        return Bounded("", data.decode())
    part = data[: MAX_BYTES - HEAD_BYTES].decode("utf-8", "ignore")
    at_line = part.rfind("\n")
    part = part[:at_line] if at_line > len(part) // 2 else part
    rest, where = _kept(keep, text, ".txt")
    return Bounded(f"The answer has {len(data):,} bytes; the first {len(part.encode()):,} follow; {where}", part, rest)


def repeated_lines(answer: str, source: str) -> int:
    """Count the lines of an answer that stand in a file as well; short lines and empty ones do not count."""
    held = {line.strip() for line in LINE_BREAKS.split(source)}
    return sum(len(line.strip()) > 10 and line.strip() in held for line in LINE_BREAKS.split(answer))


def text_row(row: Row, limit: int | None) -> str:
    """Write a row as `path: answer`, cut to `limit` characters; lines after the first are indented."""
    label = _label(row.path)
    if row.error:
        text = f" ERROR {row.error}: {' '.join(visible(row.remedy).split())}"
    else:
        answer = visible(row.answer).strip() or "(empty)"
        text = f"\n{INDENT}".join(LINE_BREAKS.split(answer))
        # An answer must not read as an error of this program.
        text = f"\n{INDENT}{text}" if answer.upper().startswith("ERROR") else f" {text}"
    room = len(text) if limit is None else max(limit - len(label) - 1, MIN_ANSWER_CHARACTERS)
    return f"{label}:{text if len(text) <= room else text[: room - 1].rstrip() + CUT}"


def answer_row(path: str, answer: str, *, as_json: bool) -> str:
    """Write a whole answer as a JSON object on one line; the answer is a JSON value, or a text.

    Raises:
        ValueError: it is not the JSON value that it ought to be.
    """
    row = _checked(Row(path, answer if as_json else json.dumps(answer)))
    if row.error:
        raise ValueError(row.remedy)
    return json_row(row, None)


def json_row(row: Row, limit: int | None) -> str:
    """Write a row as a JSON object on one line; of `limit`, only an error's remedy is cut: a cut answer is none."""
    value: dict[str, Any] = {"file": row.path}
    if row.error:
        room = len(row.remedy) if limit is None else max(limit - 2 * len(row.path) - 80, MIN_ANSWER_CHARACTERS)
        value |= {"error": row.error, "remedy": row.remedy if len(row.remedy) <= room else row.remedy[:room] + CUT}
    else:
        value["answer"] = json.loads(row.answer)
    return on_one_line(json.dumps(value, ensure_ascii=False))


def _checked(row: Row) -> Row:
    """Take an answer out of its fence, and turn one that is no JSON into an error."""
    if row.error:
        return row
    try:
        row = replace(row, answer=unwrap(row.answer, PurePath("answer.json")).text)
        json.loads(row.answer, parse_constant=_refuse)
    except (ValueError, RecursionError):
        remedy = "the answer is no whole JSON value; ask again with more max_tokens"
        return Row(row.path, error="incomplete" if row.answer.strip() else "empty", remedy=remedy)
    return row


def _refuse(name: str) -> None:
    raise ValueError(name)


def _counts(rows: Sequence[Row], missing: int, tokens: str) -> str:
    """Write how many files there are, how each kind ended, and what was read."""
    total = len(rows) + missing
    answered = sum(bool(not row.error and row.answer.strip()) for row in rows)
    empty = sum(not row.error and not row.answer.strip() for row in rows)
    kinds = Counter(row.error for row in rows if row.error)
    parts = [f"{answered} answered", *(f"{count} {kind}" for kind, count in sorted(kinds.items()))]
    parts += [f"{empty} empty"] if empty else []
    parts += [f"{missing} not begun"] if missing else []
    head = f"{total} {'file' if total == 1 else 'files'}: {', '.join(parts)}."
    if taken := sum(row.taken_up for row in rows):
        head += f" {taken} of the rows {'is' if taken == 1 else 'are'} from the same call, which had ended early."
    if missing:
        head += " The call ended early; the same call later does only what is missing."
    return f"{head} {tokens} tokens read here."


def _kept(keep: Keep, text: str, ending: str) -> tuple[Path | None, str]:
    """Keep the whole text, and return where and the words for that; without a place, what there is still comes back."""
    try:
        path = keep(text, ending)
    except FileAccessError as error:
        return None, f"the whole could not be kept. {error}"
    return path, f"the whole is in {path}."


def _label(path: str) -> str:
    """Return a path as it is, or as JSON where it could be taken for something else."""
    plain = not (LINE_BREAKS.search(path) or UNSEEN.search(path) or ": " in path or path[:1] in (" ", '"', "{"))
    return path if plain and path else json.dumps(path)
