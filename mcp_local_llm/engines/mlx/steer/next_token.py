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

AnswerPart = Literal["reasoning", "start", "json", "call", "text"]
"""`start` is the place where JSON begins, unless a thought or a tool call is opened first."""


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
    """The form of a model's tool calls: opening marker, text after it, closing marker; and the grammar in between."""

    opener: tuple[int, ...]
    head: tuple[int, ...]
    tail: tuple[int, ...]
    begin: Callable[[], Constraint]


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
        self._recent: deque[int] = deque(maxlen=LONGEST_MARKER)
        self._drawn = 0
        self.json_from: int | None = None
        """How many tokens of the answer come before its JSON; None until that begins."""
        self._phase: AnswerPart = "text"
        if markers and (plan.prefilled or plan.schema is None):
            self._phase = "reasoning"
        elif plan.schema is not None:
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
        return tuple(marker[0] for marker in self._openers()) if self._phase == "start" else ()

    @property
    def must_go_on(self) -> bool:
        """Whether the turn may not end here: a thought, and the JSON that was asked for is still to come."""
        return self._phase == "reasoning" and self._plan.schema is not None

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
                self._close_call()
            case "text":
                self._watch_calls()

    def _think(self) -> None:
        """Inside a reasoning block, or before one that may still be opened."""
        if not self._reasoning.over:
            if not self._reasoning.is_open:
                self._watch_calls()
        elif self._plan.schema is not None and self._plan.markers is not None:
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
        self._phase = "text" if self._plan.schema is None else "start"

    def _openers(self) -> list[tuple[int, ...]]:
        """Markers that may come before the JSON: of a thought, once and first; of a tool call."""
        markers, calls = self._plan.markers, self._plan.calls
        thought = [markers.opener] if markers and not self._drawn and not self._plan.prefilled else []
        return [*thought, *([calls.opener] if calls else [])]

    def _start(self, token: int) -> None:
        """Where the JSON begins, unless a marker came."""
        assert self._plan.schema is not None
        opened = next((marker for marker in self._openers() if marker[0] == token), None)
        if opened is None or self._plan.schema.allows(token):
            self.json_from, self._phase = self._drawn, "json"
            self._plan.schema.accept(token)
            return
        self._forced.extend(opened[1:])
        if self._plan.calls is not None and opened == self._plan.calls.opener:
            self._phase = "call"
            self._forced.extend(self._plan.calls.head)
        else:
            self._phase = "reasoning"

    def _watch_calls(self) -> None:
        calls = self._plan.calls
        if calls is not None and self._ends_with(calls.opener):
            self._phase = "call"
            self._forced.extend(calls.head)

    def _close_call(self) -> None:
        if self._call is not None and self._call.full and self._plan.calls is not None:
            self._call, self._phase = None, "text"
            self._forced.extend(self._plan.calls.tail)

    def _ends_with(self, marker: tuple[int, ...]) -> bool:
        return bool(marker) and tuple(self._recent)[-len(marker) :] == marker
