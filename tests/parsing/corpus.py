"""The cases of this folder, and how a result is compared with what a case expects.

`cases.jsonl` is the corpus that the rules were written with, `cases_2026.jsonl` what later families of models write;
`more_cases.jsonl` and `families.jsonl` add to them what rules and formats say beyond,
and `independent_cases.jsonl` was derived from the rules: most of it by somebody who had not read the parser, the rest
aimed at places where it looked weak.
Outer whitespace, blanks at line ends and the number of consecutive newlines do not count; indentation does.
"""

import json
import random
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from mcp_local_llm.parsing import Parsed, parse, parse_message

Case = dict[str, Any]
Triple = tuple[str, str, list[dict[str, Any]]]

_FOLDER = Path(__file__).parent
_MARKUP = re.compile(r"[<\[`{}>\u25c1]")


def cases(file: str) -> list[Case]:
    return [json.loads(line) for line in (_FOLDER / file).read_text(encoding="utf-8").splitlines()]


ALL = [
    case
    for file in ("cases", "cases_2026", "more_cases", "families", "independent_cases")
    for case in cases(f"{file}.jsonl")
]
RAW = [case for case in ALL if "message" not in case]


def parsed(case: Case) -> Parsed:
    if "message" in case:
        return parse_message(case["message"], think_prefilled=case["think_prefilled"], tools=case["tools"])
    return parse(case["raw"], think_prefilled=case["think_prefilled"], tools=case["tools"])


def canonical(text: str) -> str:
    return re.sub(r"\n{2,}", "\n", re.sub(r"[ \t]+\n", "\n", text.replace("\r\n", "\n"))).strip()


def triple(result: Parsed) -> Triple:
    calls = [{"name": call.name, "arguments": call.arguments} for call in result.tool_calls]
    return canonical(result.text), canonical(result.reasoning), calls


def same_json(left: object, right: object) -> bool:
    """Compare with JSON's types: true is not 1, but 1 is 1.0."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        one, other = cast(Mapping[str, object], left), cast(Mapping[str, object], right)
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(left, list) and isinstance(right, list):
        items, others = cast(list[object], left), cast(list[object], right)
        return len(items) == len(others) and all(map(same_json, items, others))
    return left == right


def mismatches(case: Case, result: Parsed) -> dict[str, Any]:
    """Return the scored fields that are not as expected, with what came instead."""
    text, reasoning, calls = triple(result)
    expect = case["expect"]
    found = {
        "text": (text, any(text == canonical(wanted) for wanted in (expect["text"], *expect.get("text_alt", ())))),
        "reasoning": (
            reasoning,
            any(reasoning == canonical(wanted) for wanted in (expect["reasoning"], *expect.get("reasoning_alt", ()))),
        ),
        "tool_calls": (calls, same_json(calls, expect["tool_calls"])),
    }
    return {name: found[name][0] for name in expect.get("fields", found) if not found[name][1]}


def chunkings(case: Case) -> Iterator[list[str]]:
    """Yield ways to cut the raw text, among them many cuts beside markup."""
    raw: str = case["raw"]
    yield list(raw)
    yield [piece for char in raw for piece in ("", char)]
    for size in (2, 3, 5, 7, 16):
        yield [raw[start : start + size] for start in range(0, len(raw), size)]
    source = random.Random(zlib.crc32(case["id"].encode()))
    if len(raw) > 80:
        beside = sorted({cut for match in _MARKUP.finditer(raw) for cut in range(match.start(), match.start() + 3)})
        cuts = source.sample(beside, min(30, len(beside))) + source.sample(range(len(raw)), 30)
    else:
        cuts = list(range(1, len(raw)))
    for cut in cuts:
        yield [raw[:cut], raw[cut:]]


def prefixes(raw: str, limit: int = 200) -> Sequence[str]:
    points = range(1, len(raw))
    chosen = points if len(raw) <= 2 * limit else random.Random(len(raw)).sample(points, limit)
    return [raw[:point] for point in chosen]
