"""The corpus as models say it: families of reciting models, whose templates name the markup of their cases.

A raw text of the corpus holds the tokens that end a turn as text. A model says such a token by its id, which ends the
answer, so a case is recited up to it.
"""

from collections.abc import Iterable, Mapping

from mcp_local_llm.parsing.harmony import is_harmony
from mcp_local_llm.parsing.markup import (
    END_OF_TURN,
    MESSAGE_STARTS,
    RESPONSE_WRAPPERS,
    TAG_PAIRS,
    TagPair,
    skip_last_tokens,
)
from mcp_local_llm.parsing.markup_scanner import KNOWN_MARKUP, scan_markup
from mcp_local_llm.parsing.offered_tools import read_tools
from tests.behaviour.reciting_model import Script, cut
from tests.parsing.corpus import Case

PIECE = 16
"""Characters of a token; each token makes the model larger."""

Family = tuple[str, ...]
"""The markup that the template of a family names."""

_OTHERS = ("<|channel|>", *(opener for opener, _ in RESPONSE_WRAPPERS))


def family(case: Case) -> Family:
    """What the template of the case's model names."""
    raw: str = case["raw"]
    pairs = [pair for pair in TAG_PAIRS if _belongs(pair, raw)]
    if case["think_prefilled"] and not pairs:
        pairs = [pair for pair in TAG_PAIRS if pair.closer in raw] or [TAG_PAIRS[0]]
    tags = [tag for pair in pairs for tag in (pair.opener, pair.closer)]
    return (*tags, *(literal for literal in _OTHERS if literal in raw))


def _belongs(pair: TagPair, raw: str) -> bool:
    named = [*([] if pair.closer in END_OF_TURN else [pair.closer]), *([pair.answer] if pair.answer else [])]
    return any(tag in raw for tag in (pair.opener, *named))


def script(case: Case) -> Script:
    """The case as a script; a block that the prompt opened is opened by the template."""
    opening = f"{family(case)[0]}\n" if case["think_prefilled"] else ""
    return Script(cut(_spoken(case), size=PIECE), opening)


def families(cases: Iterable[Case]) -> Mapping[Family, Mapping[str, Case]]:
    """The cases by family, and there by the words that name their script."""
    found: dict[Family, dict[str, Case]] = {}
    for case in cases:
        found.setdefault(family(case), {})[case["id"]] = case
    return found


def _spoken(case: Case) -> str:
    """The raw text up to the token that ends the turn."""
    text: str = case["raw"]
    text = text[: skip_last_tokens(text, END_OF_TURN)]
    tools = read_tools(case["tools"])
    if is_harmony(text, tools, KNOWN_MARKUP):
        return text
    closers = tuple(pair.closer for pair in TAG_PAIRS if pair.opener in text or case["think_prefilled"])
    for token in scan_markup(text, 0, tools):
        goes_on = text.startswith((*MESSAGE_STARTS, *closers), token.end) or text.startswith(closers, token.start)
        if token.kind == "end" and not goes_on:
            return text[: token.start]
    return text
