"""The whole-text parser: one raw answer in, text, reasoning and calls out.

It calls the steps in order; each step is a module of its own. Pure, linear in the length of the
text, and it never raises (R1).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mcp_local_llm.parsing.announced import split_announced
from mcp_local_llm.parsing.bare_calls import implicit_calls
from mcp_local_llm.parsing.harmony import is_harmony, parse_harmony
from mcp_local_llm.parsing.markup import skip_header, skip_last_tokens
from mcp_local_llm.parsing.markup_scanner import KNOWN_MARKUP, Markup
from mcp_local_llm.parsing.offered_tools import OfferedTools, read_tools
from mcp_local_llm.parsing.parsed import Parsed, Segment, Span
from mcp_local_llm.parsing.reasoning import split_reasoning
from mcp_local_llm.parsing.shown_text import BLANK_LINES
from mcp_local_llm.values.chat import ToolCall

NEVER_CLOSED = "The reasoning was never closed, so there is no answer."


def parse(
    raw: str,
    *,
    think_prefilled: bool,
    tools: Sequence[Mapping[str, Any]] | None,
    markup: Markup = KNOWN_MARKUP,
    answer_begun: bool = False,
) -> Parsed:
    """Take one raw answer apart.

    Args:
        raw: model output with its special tokens as text; may be cut off anywhere.
        think_prefilled: the chat template already opened the reasoning block.
        tools: OpenAI tool list; None or an empty one means that nothing is a call (R13).
        markup: how the model marks reasoning, where that is known.
        answer_begun: the prompt leaves no block open, and the model opens none without its opener.
    """
    offered = read_tools(tools)
    text = raw[skip_header(raw) : skip_last_tokens(raw, markup.ends)]
    if is_harmony(text, offered, markup):
        return parse_harmony(text, think_prefilled=think_prefilled, tools=offered)
    split = split_reasoning(
        text, think_prefilled=think_prefilled, tools=offered, markup=markup, answer_begun=answer_begun
    )
    segments, promoted = _promote(text, split.segments, offered)
    content = [segment for segment in segments if segment.channel == "text"]
    calls = [call for segment in content for span in segment.spans for call in span.calls] if offered.offered else []
    answer = _joined(text, content, offered)
    thoughts = [_without(text, segment, ()) for segment in segments if segment.channel == "reasoning"]
    if not thoughts and not think_prefilled and (outline := split_announced(answer)):
        thoughts, answer = [outline[0]], outline[1]
    if offered.offered and not calls and not promoted and (implicit := implicit_calls(answer, offered)):
        calls, answer = list(implicit), ""
    closed = all(segment.closed for segment in segments)
    first = len(answer) - len(answer.lstrip()) + 1
    if not raw.startswith(answer[:first]) and (blank := BLANK_LINES.match(answer)):
        answer = answer[blank.end() :]
    answer = answer.rstrip()
    problems = split.problems if offered.offered else ()
    return Parsed(
        text=_unwrapped(answer, markup, after_reasoning=bool(thoughts)),
        reasoning=join_blocks(thoughts),
        tool_calls=(*calls, *promoted),
        warnings=(*problems, *split.losses, *(() if closed or promoted else (NEVER_CLOSED,))),
        thinking_closed=closed,
    )


def _joined(text: str, content: Sequence[Segment], offered: OfferedTools) -> str:
    """Join the stretches of an answer without their calls; messages of their own are joined by a newline."""
    messages: list[str] = []
    pieces: list[str] = []
    for segment in content:
        pieces.append(_without(text, segment, segment.spans if offered.offered else ()))
        if segment.ends_message and (message := "".join(pieces)).strip():
            messages.append(message)
            pieces = []
    last = "".join(pieces)
    return "\n".join([*map(str.rstrip, messages), last] if last.strip() or not messages else messages)


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


def _unwrapped(answer: str, markup: Markup, *, after_reasoning: bool) -> str:
    """Take the tags off an answer that a family wraps after its reasoning (R26)."""
    bare = answer.strip()
    for opener, closer in markup.wrappers:
        if bare.startswith(opener) and (after_reasoning or opener.startswith("<|")):
            return bare.removeprefix(opener).removesuffix(closer).strip()
    return answer
