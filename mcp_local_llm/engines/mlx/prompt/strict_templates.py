"""Repairs conversations that a strict chat template refuses: one that wants a single system turn, or roles in turn.

A template that drops later system turns in silence, or moves them, is known before (`TemplateTraits.system`). Some
templates take the arguments of a call as JSON text only, or ids of nine letters and digits only; neither changes what
is said, and so it is told to nobody.

Nothing moves to the front: that would change the past, and the KV cache of the conversation would be lost. Pure.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, product, takewhile

from mcp_local_llm.engines.mlx.prompt.text_model import SystemPlace
from mcp_local_llm.engines.mlx.prompt.written_tools import Turn, with_written_calls_and_results

Repair = Callable[[Sequence[Turn]], list[Turn]]


def with_placed_system_turns(turns: Sequence[Turn], place: SystemPlace) -> tuple[list[Turn], list[str]]:
    """Write the system turns that the template would not write in their place otherwise; return what was done."""
    if place == "anywhere":
        return list(turns), []
    known = "takes one system turn, in front" if place == "front" else "takes no system turn"
    tried, done = list(turns), list[str]()
    for repair, words in (_HEAD, _REMIND) if place == "front" else (_HEAD, _REMIND, _NO_SYSTEM):
        before, tried = tried, repair(tried)
        done += [f"{known}: {words}"] if tried != before else []
    return tried, done


def repaired(turns: Sequence[Turn]) -> Iterator[tuple[list[Turn], tuple[str, ...]]]:
    """Yield the conversation with more and more repairs, each with what was done, in words."""
    seen: list[Sequence[Turn]] = [turns]
    forms = (list[Turn], _with_short_ids, _with_text_arguments, _with_both)
    for repairs, form in product(_ATTEMPTS, forms):
        tried, done = form(turns), list[str]()
        for repair, words in repairs:
            before, tried = tried, repair(tried)
            done += [words] if tried != before else []
        if tried not in seen:
            seen.append(tried)
            yield tried, tuple(done)


def _with_text_arguments(turns: Sequence[Turn]) -> list[Turn]:
    """Write the arguments of calls as JSON text."""
    return [
        {**turn, "tool_calls": [_with_text(call) for call in turn["tool_calls"]]} if "tool_calls" in turn else turn
        for turn in turns
    ]


def _with_short_ids(turns: Sequence[Turn]) -> list[Turn]:
    """Write the ids of calls in nine letters and digits, the same for the same id in every request."""
    changed = list[Turn]()
    for turn in turns:
        new = {**turn}
        if turn.get("tool_call_id"):
            new["tool_call_id"] = _short(turn["tool_call_id"])
        if "tool_calls" in turn:
            new["tool_calls"] = [{**call, "id": _short(call.get("id") or "")} for call in turn["tool_calls"]]
        changed.append(new)
    return changed


def _with_both(turns: Sequence[Turn]) -> list[Turn]:
    return _with_text_arguments(_with_short_ids(turns))


def _short(id: str) -> str:
    return id if len(id) == 9 and id.isalnum() else hashlib.sha256(id.encode()).hexdigest()[:9]


def _with_text(call: Turn) -> Turn:
    function = call["function"]
    return {**call, "function": {**function, "arguments": json.dumps(function["arguments"], ensure_ascii=False)}}


def _with_one_head(turns: Sequence[Turn]) -> list[Turn]:
    """Merge the leading system turns."""
    head = list(takewhile(_is_system, turns))
    return [_joined(head), *turns[len(head) :]] if head else list(turns)


def _with_reminders(turns: Sequence[Turn]) -> list[Turn]:
    """Write system turns behind the first turn as user text, in their place."""
    return [
        {"role": "user", "content": f"<system-reminder>\n{turn['content']}\n</system-reminder>"}
        if index and _is_system(turn)
        else turn
        for index, turn in enumerate(turns)
    ]


def _with_joined_neighbours(turns: Sequence[Turn]) -> list[Turn]:
    """Join neighbours of one role; results of tools stay apart, since each answers a call of its own."""
    joined: list[Turn] = []
    for role, run in groupby(turns, key=lambda turn: turn["role"]):
        neighbours = list(run)
        joined += neighbours if role == "tool" else [_joined(neighbours)]
    return joined


def _with_user_text_in_results(turns: Sequence[Turn]) -> list[Turn]:
    """Write a user turn behind results of tools into the last result: some templates want an answer between the two."""
    joined: list[Turn] = []
    for turn in turns:
        if turn["role"] == "user" and joined and joined[-1]["role"] == "tool":
            joined[-1] = {**joined[-1], "content": f"{joined[-1]['content']}\n\n{turn['content']}"}
        else:
            joined.append(turn)
    return joined


def _without_system(turns: Sequence[Turn]) -> list[Turn]:
    """Write the leading system turn into the user turn behind it, or as a user turn where there is none."""
    if not turns or not _is_system(turns[0]):
        return list(turns)
    head, rest = {**turns[0], "role": "user"}, list(turns[1:])
    if rest and rest[0]["role"] == "user":
        return [_joined([head, rest[0]]), *rest[1:]]
    return [head, *rest]


def _joined(turns: Sequence[Turn]) -> Turn:
    if len(turns) == 1:
        return turns[0]
    turn = {**turns[0], "content": "\n\n".join(turn["content"] for turn in turns if turn["content"])}
    calls = [call for turn in turns for call in turn.get("tool_calls", ())]
    return {**turn, "tool_calls": calls} if calls else turn


def _is_system(turn: Turn) -> bool:
    return turn["role"] == "system"


_HEAD = (_with_one_head, "leading system turns are merged into one")
_REMIND = (_with_reminders, "a later system turn is written as user text, inside <system-reminder>")
_JOIN = (_with_joined_neighbours, "neighbouring turns of one role are joined")
_RESULTS = (_with_user_text_in_results, "a user turn behind results of tools is written into the last result")
_NO_SYSTEM = (_without_system, "the system turn is written into the first user turn")
_AS_TEXT = (with_written_calls_and_results, "tool calls and their results are written as text")
_ATTEMPTS: tuple[tuple[tuple[Repair, str], ...], ...] = (
    (),
    (_HEAD,),
    (_HEAD, _REMIND),
    (_HEAD, _REMIND, _JOIN),
    (_HEAD, _REMIND, _NO_SYSTEM),
    (_HEAD, _REMIND, _NO_SYSTEM, _JOIN),
    (_HEAD, _REMIND, _JOIN, _RESULTS),
    (_HEAD, _REMIND, _NO_SYSTEM, _JOIN, _RESULTS),
    (_AS_TEXT,),
    (_AS_TEXT, _HEAD, _REMIND, _JOIN),
    (_AS_TEXT, _HEAD, _REMIND, _NO_SYSTEM, _JOIN),
)
