"""The whole-text parser: one raw answer in, text, reasoning and calls out.

It calls the steps in order; each step is a module of its own. Pure, linear in the length of the
text, and it never raises (R1).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mcp_local_llm.parsing.bare_calls import implicit_calls
from mcp_local_llm.parsing.harmony import is_harmony, parse_harmony
from mcp_local_llm.parsing.markup import RESPONSE_WRAPPERS, normalized
from mcp_local_llm.parsing.markup_scanner import KNOWN_MARKUP, Markup
from mcp_local_llm.parsing.offered_tools import OfferedTools, read_tools
from mcp_local_llm.parsing.parsed import Parsed, Segment, Span
from mcp_local_llm.parsing.reasoning import split_announced, split_reasoning
from mcp_local_llm.values.chat import ToolCall

NEVER_CLOSED = "The reasoning was never closed, so there is no answer."


def parse(
    raw: str,
    *,
    think_prefilled: bool,
    tools: Sequence[Mapping[str, Any]] | None,
    markup: Markup = KNOWN_MARKUP,
) -> Parsed:
    """Take one raw answer apart.

    Args:
        raw: model output with its special tokens as text; may be cut off anywhere.
        think_prefilled: the chat template already opened the reasoning block.
        tools: OpenAI tool list; None or an empty one means that nothing is a call (R13).
        markup: how the model marks reasoning, where that is known.
    """
    text, offered = normalized(raw), read_tools(tools)
    if is_harmony(text, offered):
        return parse_harmony(text, think_prefilled=think_prefilled, tools=offered)
    split = split_reasoning(text, think_prefilled=think_prefilled, tools=offered, markup=markup)
    segments, promoted = _promote(text, split.segments, offered)
    content = [segment for segment in segments if segment.channel == "text"]
    calls = [call for segment in content for span in segment.spans for call in span.calls] if offered.offered else []
    answer = "".join(_without(text, segment, segment.spans if offered.offered else ()) for segment in content)
    thoughts = [_without(text, segment, ()) for segment in segments if segment.channel == "reasoning"]
    if not thoughts and not think_prefilled and (outline := split_announced(answer)):
        thoughts, answer = [outline[0]], outline[1]
    if offered.offered and not calls and not promoted and (implicit := implicit_calls(answer, offered)):
        calls, answer = list(implicit), ""
    closed = all(segment.closed for segment in segments)
    return Parsed(
        text=_unwrapped(answer.strip(), bool(thoughts)),
        reasoning=join_blocks(thoughts),
        tool_calls=(*calls, *promoted),
        warnings=(*(split.problems if offered.offered else ()), *(() if closed or promoted else (NEVER_CLOSED,))),
        thinking_closed=closed,
    )


def join_blocks(blocks: Iterable[str]) -> str:
    """Join reasoning blocks by a newline; empty ones do not count (R10)."""
    return "\n".join(filter(None, map(str.strip, blocks)))


def _without(text: str, segment: Segment, spans: Iterable[Span]) -> str:
    """Return a segment's text without its calls (R25)."""
    pieces: list[str] = []
    position = segment.start
    for span in spans:
        pieces.append(text[position : span.start])
        position = span.end
    return "".join((*pieces, text[position : segment.end]))


def _promote(
    text: str, segments: Sequence[Segment], offered: OfferedTools
) -> tuple[tuple[Segment, ...], tuple[ToolCall, ...]]:
    """Take complete calls at the very end of an unclosed block out of it (R14)."""
    last = segments[-1] if segments else None
    if last is None or last.closed or not offered.offered:
        return tuple(segments), ()
    end, calls = last.end, ()
    for span in reversed(last.spans):
        if text[span.end : end].strip():
            break
        end, calls = span.start, (*span.calls, *calls)
    cut = Segment("reasoning", last.start, end, (), closed=False)
    return (*segments[:-1], cut), calls


def _unwrapped(answer: str, after_reasoning: bool) -> str:
    """Take the tags off an answer that a family wraps after its reasoning (R26)."""
    for opener, closer in RESPONSE_WRAPPERS:
        if answer.startswith(opener) and (after_reasoning or opener.startswith("<|")):
            return answer.removeprefix(opener).removesuffix(closer).strip()
    return answer
