"""Whether a model suits an agent, in three lines for people. Pure functions."""

from dataclasses import dataclass

from mcp_local_llm.agents.forms import AGENTS, Form, estimated_request, form_of
from mcp_local_llm.agents.order import ModelFacts

LEAST_ROOM = 1000
"""Tokens behind the first request and one answer, below which no result of a tool fits."""


@dataclass(frozen=True)
class Suitability:
    """The three lines, and why the start is refused; empty where it is not."""

    lines: tuple[str, str, str]
    refusal: str = ""


def judge(form: Form, model: ModelFacts) -> Suitability:
    """Compare the facts of a model with the first request of a form."""
    request = first_request(form, model)
    lines = (_tools_line(model), _window_line(form, model, request), _first_turn_line(model, request))
    if model.window is None or _room(model.window, model, request) >= LEAST_ROOM:
        return Suitability(lines)
    return Suitability(lines, _refusal(form, model, request))


def first_request(form: Form, model: ModelFacts) -> int:
    """Estimate the tokens of the first request, the user's instruction files among them."""
    return estimated_request(form, model.sample_tokens) + model.instruction_tokens


def _room(window: int, model: ModelFacts, request: int) -> int:
    return window - request - model.output


def _tools_line(model: ModelFacts) -> str:
    if model.tools is None:
        return f"{model.name}: its server does not say whether it knows tools; without them an agent can do little."
    if model.tools:
        return f"{model.name}: its chat template knows tools."
    return (
        f"{model.name}: its chat template knows no tools. They are written into the system prompt, so expect calls "
        "that fail; a model that was trained with tools suits an agent better."
    )


def _window_line(form: Form, model: ModelFacts, request: int) -> str:
    agent = AGENTS[form.agent]
    if model.window is None:
        return f"Its window is not known; {agent}'s first request has about {request:,} tokens."
    room = _room(model.window, model, request)
    own = f" ({model.instruction_tokens:,} of them your instruction files)" if model.instruction_tokens else ""
    return (
        f"Its window has {model.window:,} tokens: about {request:,} for {agent}'s first request{own}, {model.output:,} "
        f"for an answer, {max(room, 0):,} for the work."
    )


def _first_turn_line(model: ModelFacts, request: int) -> str:
    if model.prefill is None:
        return (
            f"The first turn reads about {request:,} tokens; how long that takes was not measured yet. Later turns "
            "read only what is new."
        )
    return (
        f"The first turn reads about {request:,} tokens, {_seconds(request / model.prefill)} at the "
        f"{model.prefill:,.0f} tokens per second measured here. Later turns read only what is new."
    )


def _seconds(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(round(seconds), 1)} s"
    return f"about {seconds / 60:.0f} min"


def _refusal(form: Form, model: ModelFacts, request: int) -> str:
    needed = request + model.output + LEAST_ROOM
    words = (
        f"{AGENTS[form.agent]} cannot work with {model.name}: its window has {model.window or 0:,} tokens, and about "
        f"{needed:,} are needed ({request:,} for the first request, {model.output:,} for an answer, {LEAST_ROOM:,} for "
        "the result of a tool). Choose a model with a longer window by --model"
    )
    small = form_of(form.agent, small=True)
    if small is not None and small is not form and model.window is not None:
        fits = _room(model.window, model, first_request(small, model)) >= LEAST_ROOM
        words += ", or use --small" if fits else ""
    return f"{words}. --force starts it all the same."
