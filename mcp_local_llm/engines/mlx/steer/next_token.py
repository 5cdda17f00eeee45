"""Follows the parts of one answer, and says whether any token, one token or a grammar comes next. Pure: token ids only.

An answer is a reasoning block (where there is one), then either text, in which tool calls may be opened, or JSON for a
schema. The script takes the tokens as they are drawn; `logits_processor.py` applies it to the logits.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from mcp_local_llm.engines.mlx.prompt.reasoning_markers import ReasoningMarkers
from mcp_local_llm.engines.mlx.steer.reasoning_tokens import CloserText, ReasoningTokens

LONGEST_MARKER = 16
"""Tokens of a marker that can be recognised; the known ones have at most six."""

AnswerPart = Literal["reasoning", "start", "json", "call", "called", "text"]
"""`start` is the place where JSON begins, unless a thought or a tool call is opened first; behind `called`, a call that
was closed, nothing but another call may come."""


class Constraint(Protocol):
    """The interface of a grammar; `TokenGrammar` implements it, tests pass one without mlx."""

    @property
    def full(self) -> bool:
        """Whether nothing can follow."""
        ...

    def accept(self, token: int) -> None:
        """Take the token that was drawn."""
        ...

    def allows(self, token: int) -> bool:
        """Whether `token` may come next."""
        ...


@dataclass(frozen=True)
class ToolCallForm:
    """The form of a model's tool calls.

    Attributes:
        opener, head: the opening marker, and the text after it, which also stands between two calls.
        tail: the closing marker.
        begin: makes the grammar in between.
        required: the answer is a call.
        single: the turn ends with the first call.
    """

    opener: tuple[int, ...]
    head: tuple[int, ...]
    tail: tuple[int, ...]
    begin: Callable[[], Constraint]
    required: bool = False
    single: bool = False


@dataclass(frozen=True)
class DecodingPlan:
    """The constraints of one answer.

    Attributes:
        markers: of the reasoning block; None where none can come.
        prefilled: the template opened the block.
        budget: tokens of reasoning; None is no limit.
        schema: the grammar of the answer; None for text.
        calls: how tool calls are written; None leaves them free.
        text: finds a closer that is plain text.
    """

    markers: ReasoningMarkers | None
    prefilled: bool
    budget: int | None
    schema: Constraint | None
    calls: ToolCallForm | None
    text: CloserText | None = None


class AnswerScript:
    """The state machine of one answer: its part, and the constraint on its next token."""

    def __init__(self, plan: DecodingPlan) -> None:
        self._plan = plan
        markers = plan.markers
        self._reasoning = ReasoningTokens(
            markers.opener if markers else (),
            markers.closer if markers else (),
            prefilled=plan.prefilled,
            text=plan.text,
        )
        self._forced: deque[int] = deque()
        self._call: Constraint | None = None
        self._written: list[int] = []
        self._calls_before: set[tuple[int, ...]] = set()
        self._repeated = False
        self._recent: deque[int] = deque(maxlen=LONGEST_MARKER)
        self._drawn = 0
        self.json_from: int | None = None
        """How many tokens of the answer come before its JSON, or its required call; None until that begins."""
        self._required = plan.calls is not None and plan.calls.required
        self._phase: AnswerPart = "text"
        if markers and (plan.prefilled or not self._bound):
            self._phase = "reasoning"
        elif self._bound:
            self._phase = "start"
        self._watch_budget()

    @property
    def forced(self) -> int | None:
        """The one token that must come next, if there is one."""
        return self._forced[0] if self._forced else None

    @property
    def constraint(self) -> Constraint | None:
        """The grammar of the next token, if none is forced."""
        return self._call if self._phase == "call" else self._plan.schema if self._phase in ("start", "json") else None

    @property
    def openers(self) -> tuple[int, ...]:
        """First tokens of the markers that may come although the constraint does not know them."""
        if self._phase == "called":
            if self._plan.calls is None or self._plan.calls.single or self._repeated:
                return ()
            return (self._plan.calls.head + self._plan.calls.opener)[:1]
        return tuple(marker[0] for marker in self._openers()) if self._phase == "start" else ()

    @property
    def openers_only(self) -> bool:
        """Whether nothing but one of `openers` may come; behind a call also the end of the turn."""
        return self._phase == "called" or (self._phase == "start" and self._required)

    @property
    def must_go_on(self) -> bool:
        """Whether the turn may not end here: the JSON or the call that was asked for is still to come."""
        return (self._phase == "reasoning" and self._bound) or (self._phase == "start" and self._required)

    @property
    def _bound(self) -> bool:
        """Whether the answer is JSON or a call."""
        return self._plan.schema is not None or self._required

    @property
    def patience(self) -> int | None:
        """How many tokens may be drawn before the script must see them; None: it need not see any more."""
        plan = self._plan
        if self._forced or plan.schema is not None or plan.calls is not None:
            return 1
        if self._phase != "reasoning" or plan.budget is None or plan.markers is None:
            return None
        if not self._reasoning.is_open and self._drawn:
            return 1
        unopened = 0 if self._reasoning.is_open else len(plan.markers.opener)
        return max(1, unopened + plan.budget - len(plan.markers.before) - self._reasoning.count)

    def add(self, token: int) -> None:
        """Take the next token of the answer.

        Raises:
            Exception: whatever a constraint raises for a token that it does not allow.
        """
        self._recent.append(token)
        self._reasoning.add(token)
        if self._forced:
            self._forced.popleft()
        else:
            self._take(token)
        self._drawn += 1
        if self._phase == "reasoning" and not self._forced:
            self._watch_budget()
        elif self._phase == "call" and not self._forced and self._call is None and self._plan.calls is not None:
            self._call = self._plan.calls.begin()

    def _take(self, token: int) -> None:
        """Change the state for a token that the model chose."""
        match self._phase:
            case "reasoning":
                self._think()
            case "start":
                self._start(token)
            case "json":
                assert self._plan.schema is not None
                self._plan.schema.accept(token)
            case "call":
                assert self._call is not None
                self._call.accept(token)
                self._written.append(token)
                self._close_call()
            case "called":
                self._call_again(token)
            case "text":
                self._watch_calls()

    def _think(self) -> None:
        """Inside a reasoning block, or before one that may still be opened."""
        if not self._reasoning.over:
            if not self._reasoning.is_open:
                self._watch_calls()
        elif self._bound and self._plan.markers is not None:
            self._phase = "start"
            self._forced.extend(self._plan.markers.after)
        else:
            self._phase = "text"
            self._watch_calls()

    def _watch_budget(self) -> None:
        """Close the block when its budget is spent; the whitespace that templates write before the marker counts."""
        markers, budget = self._plan.markers, self._plan.budget
        if markers is None or budget is None or not self._reasoning.is_open:
            return
        count, begun, before = self._reasoning.count, self._reasoning.closer_begun, markers.before
        if count >= budget:
            closing = markers.closer[begun:]
        elif count + len(before) >= budget and not begun and not self._ends_with(before):
            closing = (*before, *markers.closer)
        else:
            return
        self._forced.extend((*closing, *markers.after))
        self._phase = "start" if self._bound else "text"

    def _openers(self) -> list[tuple[int, ...]]:
        """Markers that may come before the JSON: of a thought, once and first; of a tool call."""
        markers, calls = self._plan.markers, self._plan.calls
        thought = [markers.opener] if markers and not self._drawn and not self._plan.prefilled else []
        return [*thought, *([calls.opener] if calls else [])]

    def _start(self, token: int) -> None:
        """Where the JSON begins, unless a marker came."""
        schema, calls = self._plan.schema, self._plan.calls
        opened = next((marker for marker in self._openers() if marker[0] == token), None)
        if schema is not None and (opened is None or schema.allows(token)):
            self.json_from, self._phase = self._drawn, "json"
            schema.accept(token)
            return
        assert opened is not None
        self._forced.extend(opened[1:])
        if calls is None or opened != calls.opener:
            self._phase = "reasoning"
            return
        self._phase = "call"
        self._forced.extend(calls.head)
        if calls.required:
            self.json_from = self._drawn

    def _watch_calls(self) -> None:
        calls = self._plan.calls
        if calls is not None and self._ends_with(calls.opener):
            self._phase = "call"
            self._forced.extend(calls.head)

    def _close_call(self) -> None:
        calls = self._plan.calls
        if self._call is not None and self._call.full and calls is not None:
            self._call, self._phase = None, "called" if calls.required or calls.single else "text"
            self._forced.extend(calls.tail)
            # A small model that may go on calling repeats itself until its tokens are used up.
            written = tuple(self._written)
            self._repeated = written in self._calls_before
            self._calls_before.add(written)
            self._written.clear()

    def _call_again(self, token: int) -> None:
        """Begin another call, unless the token ends the turn."""
        calls = self._plan.calls
        if calls is not None and token in self.openers:
            self._phase = "call"
            self._forced.extend((*calls.head, *calls.opener, *calls.head)[1:])

    def _ends_with(self, marker: tuple[int, ...]) -> bool:
        return bool(marker) and tuple(self._recent)[-len(marker) :] == marker
