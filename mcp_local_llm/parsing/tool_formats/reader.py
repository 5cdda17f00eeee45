"""Read one element that may hold calls: R15 to R17 and R20 to R22, the same for every tool-call format."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mcp_local_llm.parsing.offered_tools import OfferedTools
from mcp_local_llm.parsing.parsed import PayloadError
from mcp_local_llm.parsing.tool_formats.format import Payload, Source, skip_space
from mcp_local_llm.parsing.tool_formats.table import CLOSERS, WRAPPERS, Wrapper
from mcp_local_llm.values.chat import ToolCall

_BOUNDARIES = (*CLOSERS, *(wrapper.opener for wrapper in WRAPPERS if not wrapper.bare))
_LONGEST_CLOSER = max(map(len, CLOSERS))


@dataclass(frozen=True)
class Reading:
    """The content of the element at an opener.

    Attributes:
        calls: empty where the region is text after all (R21).
        end: where the region ends.
        resume: where the search for markup goes on; behind a payload of the same element that failed.
        stop: nothing after it may be searched for calls (R17).
        cut: the text ended inside the payload.
        problem: a sentence for the caller, or "".
    """

    calls: tuple[ToolCall, ...]
    end: int
    resume: int
    stop: bool = False
    cut: bool = False
    problem: str = ""


def read_element(text: str, opener: int, wrapper: Wrapper, tools: OfferedTools) -> Reading | None:
    """Read the element whose opener begins at `opener`; None where no payload follows it (R15)."""
    start = skip_space(text, opener if wrapper.bare else opener + len(wrapper.opener))
    source = Source(text, wrapper.closer, tools, explicit=not wrapper.known_only)
    calls: list[ToolCall] = []
    end = position = start
    try:
        while not text.startswith(_BOUNDARIES, position) or (
            wrapper.inner and text.startswith(wrapper.inner, position)
        ):
            payload = _read_payload(source, wrapper, position)
            if payload is None:
                break
            calls += payload.calls
            end = payload.end
            if wrapper.bare:
                break  # the next payload has an opener of its own
            position = _skip_separator(text, end)
    except PayloadError as error:
        # Complete objects count although the next one in the element fails (R20, R21).
        failure = _failure(text, error, wrapper)
        accepted = _accepted(calls, wrapper, tools)
        return replace(failure, calls=accepted, end=end) if accepted else failure
    if end == start:
        return None
    accepted = _accepted(calls, wrapper, tools)
    problem = "" if accepted else _problem(wrapper, cut=False)
    closed = _pass_closers(text, end)
    return Reading(accepted, closed, closed, problem=problem)


def _accepted(calls: Iterable[ToolCall], wrapper: Wrapper, tools: OfferedTools) -> tuple[ToolCall, ...]:
    """Return the calls that the markup, or a known name, proves (R22 to R24)."""
    return tuple(call for call in calls if not wrapper.known_only or tools.knows(call.name))


def _skip_separator(text: str, position: int) -> int:
    """Return where the next payload of an element may begin."""
    position = skip_space(text, position)
    return skip_space(text, position + 1) if text.startswith((",", ";"), position) else position


def _read_payload(source: Source, wrapper: Wrapper, position: int) -> Payload | None:
    for read in wrapper.payloads:
        payload = read(source, position)
        if payload is not None:
            return payload
    return None


def _failure(text: str, error: PayloadError, wrapper: Wrapper) -> Reading:
    """Decide how far a broken payload reaches (R17, R21).

    Up to its closer, if that comes before another opener. Otherwise its end is unknown, and text behind it that looks
    like a call may be a string inside it.
    """
    problem = _problem(wrapper, cut=error.cut)
    closer = text.find(wrapper.closer, error.position) if wrapper.closer and not error.cut else -1
    if closer < 0 or text.find(wrapper.opener, error.position, closer) >= 0:
        return Reading((), error.position, error.position, stop=True, cut=error.cut, problem=problem)
    end = closer + len(wrapper.closer)
    return Reading((), end, end, problem=problem)


def _problem(wrapper: Wrapper, *, cut: bool) -> str:
    what = "was cut off" if cut else "could not be read"
    return f"A tool call after {wrapper.opener} {what}; it was left in the text."


def _pass_closers(text: str, end: int) -> int:
    """Return the end of the closers after a payload: none, one, several, or part of one (R17)."""
    while True:
        after = skip_space(text, end)
        closer = next((mark for mark in CLOSERS if text.startswith(mark, after)), None)
        if closer is None:
            break
        end = after + len(closer)
    rest = text[after : after + _LONGEST_CLOSER]
    word = rest.split(maxsplit=1)[0] if rest.strip() else ""
    partial = len(word) > 1 and any(mark.startswith(word) for mark in CLOSERS)
    return after + len(word) if partial else end
