"""Finds what a chat template does, by rendering short conversations both ways; no template is known by name.

Runs once for each loaded model; it must not touch an mlx array.
"""

import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mcp_local_llm.engines.mlx.prompt.control_tokens import control_tokens
from mcp_local_llm.engines.mlx.prompt.rendering_budget import MAX_SECONDS
from mcp_local_llm.engines.mlx.prompt.text_model import (
    Switches,
    SystemPlace,
    TemplateTraits,
    TextModel,
    ThinkingSwitch,
    ThoughtForm,
    apply_template,
)
from mcp_local_llm.engines.mlx.prompt.written_tools import Turn

QUESTION, THOUGHT, ANSWER, RESULT = "one question", "one thought", "one answer", "one result"
_INSTRUCTION = "one instruction"
_FUNCTION, _OTHER_FUNCTION, _ARGUMENT = "probe_function", "other_function", "one argument"
_TOOLS = [
    {
        "type": "function",
        "function": {"name": _FUNCTION, "description": "", "parameters": {"type": "object", "properties": {}}},
    }
]
_USER: Turn = {"role": "user", "content": QUESTION}
_SYSTEM: Turn = {"role": "system", "content": _INSTRUCTION}
_THOUGHTFUL: Turn = {"role": "assistant", "content": ANSWER, "reasoning_content": THOUGHT}
_LATER_SYSTEM = ("u s", "s s u", "s u s u", "s u s a s u")
"""Conversations with system turns behind the first turn, as agents send them."""

_ABOUT_THINKING = re.compile(r"think|thought|reason")
_ABOUT_HISTORY = re.compile(r"preserve|keep|clear|drop|truncate|strip|remove|history|past|previous|interleaved")
_ABOUT_EFFORT = re.compile(r"effort|level|strength")
_OFF_WORDS = ("none", "no_think", "nothink", "off", "disabled", "disable", "no", "chat", "non-thinking", "nonthinking")
_ON_WORDS = ("high", "on", "enabled", "enable", "yes", "think", "thinking", "reasoning", "medium", "max")
_LEAST_WORDS = ("minimal", "low")


def with_traits(model: TextModel) -> TextModel:
    """Return the model with its traits and control tokens; the ends of its turns are added to its tokenizer's.

    All probes of a template together may take as long as one rendering, of processor time: on a busy machine a usual
    template must not lose its traits.
    """
    model = replace(model, probes_until=time.thread_time() + MAX_SECONDS)
    model = replace(model, traits=template_traits(model))
    # Converters leave the end of a turn out of config.json and generation_config.json; the template writes it.
    model.tokenizer.eos_token_ids = model.tokenizer.eos_token_ids | turn_ends(model)
    return replace(model, control=control_tokens(model.tokenizer, markup_texts(model)))


def template_traits(model: TextModel) -> TemplateTraits:
    """Find how reasoning is switched and kept, whether tools are written, and where system turns are."""
    names, words = _vocabulary(model)
    history, switches = list[str](), list[str]()
    for name in names:
        (history if _ABOUT_HISTORY.search(name) else switches).append(name)
    tools = _writes_tools(model)
    calls, results = _writes_calls(model, tools=tools)
    kept = _kept_history(model, history)
    return TemplateTraits(
        _switch(model, switches, words),
        kept,
        tools,
        calls,
        results,
        tools_move=_moves_tools(model),
        system=_system_place(model),
        keeps_thoughts=THOUGHT in render_probe(model, [_USER, _THOUGHTFUL, _USER], kept),
        thought=_thought_form(model, kept),
    )


def render_probe(
    model: TextModel,
    turns: Sequence[Turn],
    switches: Switches,
    *,
    opening: bool = False,
    tools: list[dict[str, Any]] | None = None,
) -> str:
    """Render turns; an empty text where the template refuses them, which is told of a request by its own rendering."""
    switches = {"add_generation_prompt": opening, **switches}
    try:
        return "" if model.late() else apply_template(model, [*turns], tools, switches, model.late)
    except Exception:
        # A template is a program that came with the model: it may raise anything jinja2 or Python can.
        return ""


def _vocabulary(model: TextModel) -> tuple[list[str], Collection[str]]:
    """Return the template's variables that may be about reasoning, plain switches first, and its words."""
    try:
        template = model.template(None)
    except Exception:
        return [], set()  # It is no template; each request says so.
    if template is None:
        return ["enable_thinking"], set()
    names = sorted(name for name in template.names if _ABOUT_THINKING.search(name))
    return sorted(names, key=lambda name: bool(_ABOUT_EFFORT.search(name))), template.words


def _switch(model: TextModel, names: Sequence[str], words: Collection[str]) -> ThinkingSwitch | None:
    least: ThinkingSwitch | None = None
    for name in names:
        for on, off, is_least in _values(name, words):
            shown = [_questions(model, switches) for switches in (on, off)]
            if not all(map(any, shown)) or shown[0] == shown[1]:
                continue
            if not is_least:
                return ThinkingSwitch(on, off)
            least = least or ThinkingSwitch(on, off, least=True)
    return least


def _values(name: str, words: Collection[str]) -> Iterator[tuple[Switches, Switches, bool]]:
    """Yield the values that may switch reasoning on and off, and whether the second only lowers it."""
    if "budget" in name:
        yield {}, {name: 0}, False
        return
    if not _ABOUT_EFFORT.search(name):
        yield {name: True}, {name: False}, False
    known_on = [{}, *({name: word} for word in _ON_WORDS if word in words)]
    for off in _OFF_WORDS:
        if off in words:
            yield from ((on, {name: off}, False) for on in known_on)
    if _ABOUT_EFFORT.search(name):
        yield from (({}, {name: word}, True) for word in _LEAST_WORDS if word in words or word == "low")


def _questions(model: TextModel, switches: Switches) -> list[str]:
    """Render a question alone, and behind an instruction: some templates write the switch into the system turn."""
    return [render_probe(model, turns, switches, opening=True) for turns in ([_USER], [_SYSTEM, _USER])]


def _kept_history(model: TextModel, names: Sequence[str]) -> Switches:
    """Find the variables that keep the reasoning of earlier answers, and their values."""
    kept: dict[str, bool] = {}
    for name in names:
        shown = {
            value: THOUGHT in render_probe(model, [_USER, _THOUGHTFUL, _USER], {name: value}) for value in (True, False)
        }
        if shown[True] != shown[False]:
            kept[name] = shown[True]
    return kept


def _system_place(model: TextModel) -> SystemPlace:
    """Find where system turns are written; some templates drop later ones in silence, or move them to the front.

    Asked once and not with each conversation: a template that accepts the first request of a session in one way and the
    second in another would change the past.
    """
    if not render_probe(model, [_USER], {}, opening=True):
        return "anywhere"  # It refuses even a plain question, which the request itself will tell.
    if all(_in_order(model, roles) for roles in _LATER_SYSTEM):
        return "anywhere"
    # Some write it into the last user turn, where it moves with each turn.
    return "front" if _in_order(model, "s u") and _in_order(model, "s u a u") else "nowhere"


def _probe_turns(roles: str) -> list[Turn]:
    names = {"s": "system", "u": "user", "a": "assistant"}
    return [{"role": names[role], "content": f"probe text {at}"} for at, role in enumerate(roles.split())]


def _in_order(model: TextModel, roles: str) -> bool:
    """Whether the template writes all texts of a conversation in their order."""
    turns = _probe_turns(roles)
    rest = render_probe(model, turns, {}, opening=True)
    for turn in turns:
        _, found, rest = rest.partition(turn["content"])
        if not found:
            return False
    return True


def _thought_form(model: TextModel, history: Switches) -> ThoughtForm | None:
    """Find how the thought of a turn with calls is written while their results come in."""
    question, calling, *results = _calling(_FUNCTION)

    def shown(**fields: str) -> str:
        return render_probe(model, [question, {**calling, **fields}, *results], history)

    head, _, tail = shown(content=ANSWER).partition(ANSWER)
    around: list[tuple[str, str]] = []
    for content in (ANSWER, ""):
        text, rest = shown(content=content, reasoning_content=THOUGHT), content + tail
        before, _, after = text.removeprefix(head).partition(THOUGHT)
        if text.startswith(head) and after.endswith(rest):
            around.append((before, after.removesuffix(rest)))
        elif content:
            return None
    (before, after), (_, after_alone) = around[0], around[-1]
    return ThoughtForm(before, after, after_alone)


def _writes_tools(model: TextModel) -> bool:
    if not any(_questions(model, {})):
        return True  # It refuses even a plain question, which the request itself will tell.
    return any(
        _FUNCTION in render_probe(model, turns, {}, opening=True, tools=_TOOLS) for turns in ([_USER], [_SYSTEM, _USER])
    )


def _moves_tools(model: TextModel) -> bool:
    turns = _probe_turns("u a u")
    text = render_probe(model, turns, {}, opening=True, tools=_TOOLS)
    return 0 <= text.find(turns[0]["content"]) < text.find(_FUNCTION)


def _writes_calls(model: TextModel, *, tools: bool) -> tuple[bool, bool]:
    """Return whether calls of earlier turns are written, and results.

    A template that writes tools and refuses these turns is left alone. One that writes neither tools nor calls gives
    results a role that its model does not know.
    """
    shown = render_probe(model, _calling(_FUNCTION), {}, opening=True)
    if not shown:
        return tools, tools
    calls = _FUNCTION in shown
    return calls, RESULT in shown and (tools or calls)


def _calling(*names: str) -> list[Turn]:
    """Return a question, calls of functions, and their results."""
    calls = [
        {"type": "function", "id": f"call{at:05}", "function": {"name": name, "arguments": {"word": _ARGUMENT}}}
        for at, name in enumerate(names)
    ]
    asked: Turn = {"role": "assistant", "content": "", "tool_calls": calls}
    results = [
        {"role": "tool", "content": RESULT, "tool_call_id": call["id"], "name": name}
        for call, name in zip(calls, names, strict=True)
    ]
    return [_USER, asked, *results]


def turn_ends(model: TextModel) -> set[int]:
    """Find the ids with which the template ends an answer, and a turn of tool calls."""
    past: Turn = {"role": "assistant", "content": ANSWER}
    calling = render_probe(model, _calling(_FUNCTION, _OTHER_FUNCTION)[:2], {})
    last, earlier = (
        render_probe(model, turns, {}).partition(ANSWER)[2].partition(_INSTRUCTION)[0].strip()
        for turns in ([_USER, past], [_USER, past, {**_USER, "content": _INSTRUCTION}])
    )
    tokens, inside = _added_tokens(model), _inside_turns(model, calling)
    ends = [id for id in _added(model, last) if id not in inside][:1]
    # What follows the end of an earlier answer opens the next turn.
    ends += [id for id in _added(model, earlier)[:1] if id not in inside and earlier.startswith(tokens[id].content)]
    called = [id for id in _added(model, calling.rpartition(_ARGUMENT)[2]) if id not in inside and tokens[id].special]
    return {*ends, *called[-1:]}


def _inside_turns(model: TextModel, calling: str) -> set[int]:
    """Find the ids that end no turn, because they also stand within one: behind a thought, or between two calls."""
    thought: Turn = {"role": "assistant", "content": ANSWER, "reasoning_content": THOUGHT, "reasoning": THOUGHT}
    texts = [
        _between(render_probe(model, [_USER, thought], {}), THOUGHT, ANSWER),
        _between(calling, _FUNCTION, _OTHER_FUNCTION),
    ]
    for switches in ({}, model.traits.switch.off if model.traits.switch else {}):
        closed, opened = (render_probe(model, [_USER], switches, opening=opening) for opening in (False, True))
        texts.append(opened.removeprefix(closed) if opened.startswith(closed) else "")
    return {id for text in texts for id in _added(model, text)}


def _between(text: str, start: str, end: str) -> str:
    """Return what stands between two texts; nothing where one of them is missing."""
    rest = text.partition(start)[2]
    return rest.partition(end)[0] if end in rest else ""


def _added_tokens(model: TextModel) -> Mapping[int, Any]:
    return getattr(model.tokenizer, "added_tokens_decoder", {})


def _added(model: TextModel, text: str) -> list[int]:
    """Return the ids of the tokens in `text` that a tokenizer never splits, without blanks and markup."""
    tokens, markup = _added_tokens(model), markup_texts(model)
    names = {id: str(tokens[id].content) for id in model.encode(text) if id in tokens}
    return [id for id in model.encode(text) if id in names and names[id].strip() and names[id] not in markup]


def markup_texts(model: TextModel) -> set[str]:
    """Return the texts around reasoning and tool calls, which a message may hold."""
    texts = [model.tokenizer.tool_call_start, model.tokenizer.tool_call_end]
    texts += [model.tags.opener, model.tags.closer] if model.tags else []
    return {text.strip() for text in texts if text and text.strip()}
