"""The script of an answer, token by token, with made-up tokens: 1 and 2 open and close a thought, 9 opens a call."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mcp_local_llm.engines.mlx.prompt.reasoning_markers import ReasoningMarkers
from mcp_local_llm.engines.mlx.steer.next_token import AnswerScript, DecodingPlan, ToolCallForm

ONE = ReasoningMarkers(opener=(1,), closer=(2,), before=(50,), after=(51,))
LONG = ReasoningMarkers(opener=(1, 10, 11), closer=(2, 20, 21), before=(), after=(51,))
FREE = DecodingPlan(ONE, prefilled=False, budget=None, schema=None, calls=None)


@dataclass
class Fixed:
    """A constraint that allows one row of tokens."""

    row: Sequence[int]
    taken: list[int] = field(default_factory=list[int])

    @property
    def full(self) -> bool:
        return len(self.taken) == len(self.row)

    def allows(self, token: int) -> bool:
        return not self.full and self.row[len(self.taken)] == token

    def accept(self, token: int) -> None:
        assert self.allows(token)
        self.taken.append(token)


def run(plan: DecodingPlan, tokens: Sequence[int]) -> tuple[list[int], AnswerScript]:
    """Draw `tokens`, and what is forced between them; returns the whole answer."""
    script, drawn, rest = AnswerScript(plan), list[int](), list(tokens)
    while rest or script.forced is not None:
        token = rest.pop(0) if script.forced is None else script.forced
        drawn.append(token)
        script.add(token)
    return drawn, script


def test_a_budget_counts_the_whitespace_before_the_marker() -> None:
    assert run(replace(FREE, budget=3), [1, 30, 31])[0] == [1, 30, 31, 50, 2, 51]
    assert run(replace(FREE, budget=1), [1])[0] == [1, 50, 2, 51]
    assert run(replace(FREE, budget=0), [1])[0] == [1, 2, 51]


def test_whitespace_that_is_there_already_is_not_written_again() -> None:
    assert run(replace(FREE, budget=3), [1, 30, 50, 31])[0] == [1, 30, 50, 31, 2, 51]


def test_a_prefilled_block_needs_no_opener() -> None:
    prefilled = replace(FREE, prefilled=True)
    assert run(replace(prefilled, budget=2), [30])[0] == [30, 50, 2, 51]
    assert run(replace(prefilled, budget=0), [])[0] == [2, 51]


def test_markers_of_several_tokens_are_finished_and_not_begun_twice() -> None:
    plan = replace(FREE, markers=LONG, budget=4)
    assert run(plan, [1, 10, 11, 30, 31, 32, 33])[0] == [1, 10, 11, 30, 31, 32, 33, 2, 20, 21, 51]
    assert run(plan, [1, 10, 11, 30, 31, 32, 2])[0] == [1, 10, 11, 30, 31, 32, 2, 20, 21, 51]


def test_a_thought_that_ends_by_itself_and_an_answer_without_one_are_left_alone() -> None:
    assert run(replace(FREE, budget=9), [1, 30, 2, 40, 41])[0] == [1, 30, 2, 40, 41]
    drawn, script = run(replace(FREE, budget=0), [40, 41, 42, 1, 43])
    assert drawn == [40, 41, 42, 1, 43]
    assert script.patience is None


def test_a_budget_is_not_looked_at_before_it_may_be_spent() -> None:
    script = AnswerScript(replace(FREE, budget=100))
    assert script.patience == 100
    for token in [1, *range(200, 260)]:
        script.add(token)
    assert script.patience == 100 - 60 - 1
    assert AnswerScript(replace(FREE, prefilled=True, budget=100)).patience == 99
    assert AnswerScript(FREE).patience is None


def test_json_begins_after_the_thought_and_the_whitespace_of_the_template() -> None:
    schema = Fixed([40, 41])
    drawn, script = run(replace(FREE, schema=schema), [1, 30, 2, 40, 41])
    assert drawn == [1, 30, 2, 51, 40, 41]
    assert script.json_from == 4
    assert schema.full


def test_the_turn_may_not_end_in_a_thought_that_json_must_follow() -> None:
    _, thinking = run(replace(FREE, schema=Fixed([40])), [1, 30])
    assert thinking.must_go_on
    _, answering = run(replace(FREE, schema=Fixed([40])), [1, 30, 2])
    assert not answering.must_go_on
    assert not run(FREE, [1, 30])[1].must_go_on


def test_json_or_a_thought_may_come_first_and_no_thought_after_the_first() -> None:
    script = AnswerScript(replace(FREE, schema=Fixed([40])))
    assert script.openers == (1,)
    script.add(40)
    assert (script.json_from, script.openers) == (0, ())
    _, after = run(replace(FREE, schema=Fixed([40])), [1, 30, 2])
    assert after.openers == ()
    assert AnswerScript(replace(FREE, markers=None, schema=Fixed([40]))).openers == ()


def test_a_spent_budget_leads_to_json() -> None:
    drawn, script = run(replace(FREE, budget=2, schema=Fixed([40])), [1, 30, 40])
    assert drawn == [1, 30, 50, 2, 51, 40]
    assert script.json_from == 5


def test_calls_are_held_to_their_grammar_each_time_one_is_opened() -> None:
    made: list[Fixed] = []

    def begin() -> Fixed:
        made.append(Fixed([60, 61]))
        return made[-1]

    calls = ToolCallForm(opener=(9, 90), head=(70,), tail=(8, 80), begin=begin)
    drawn, script = run(replace(FREE, calls=calls), [1, 9, 90, 2, 30, 9, 90, 60, 61, 9, 90, 60, 61, 31])
    # The first one is part of the thought; a call in a thought is none.
    assert drawn == [1, 9, 90, 2, 30, 9, 90, 70, 60, 61, 8, 80, 9, 90, 70, 60, 61, 8, 80, 31]
    assert [one.full for one in made] == [True, True]
    assert script.constraint is None


def test_with_a_schema_a_call_may_be_opened_instead_of_the_json() -> None:
    calls = ToolCallForm(opener=(9, 90), head=(), tail=(8,), begin=lambda: Fixed([60]))
    drawn, script = run(replace(FREE, schema=Fixed([40]), calls=calls), [9, 60, 30])
    assert drawn == [9, 90, 60, 8, 30]
    assert script.json_from is None
    assert script.constraint is None


def required(made: list[Fixed], *, single: bool = False) -> ToolCallForm:
    def begin() -> Fixed:
        made.append(Fixed([60, 61]))
        return made[-1]

    return ToolCallForm(opener=(9, 90), head=(70,), tail=(8,), begin=begin, required=True, single=single)


def test_a_required_call_is_opened_at_once_or_behind_a_thought() -> None:
    plan = replace(FREE, calls=required([]))
    script = AnswerScript(plan)
    assert (script.openers, script.openers_only, script.must_go_on) == ((1, 9), True, True)
    drawn, script = run(plan, [9, 60, 61])
    assert drawn == [9, 90, 70, 60, 61, 8]
    assert script.json_from == 0
    drawn, script = run(plan, [1, 30, 2, 9, 60, 61])
    assert drawn == [1, 30, 2, 51, 9, 90, 70, 60, 61, 8]
    assert script.json_from == 4
    assert AnswerScript(replace(plan, markers=None)).openers == (9,)


def test_a_thought_before_a_required_call_may_not_end_the_turn_and_keeps_its_budget() -> None:
    plan = replace(FREE, calls=required([]), prefilled=True, budget=2)
    drawn, script = run(plan, [30])
    assert drawn == [30, 50, 2, 51]
    assert (script.openers, script.openers_only, script.must_go_on) == ((9,), True, True)
    assert run(replace(plan, budget=None), [30])[1].must_go_on


def test_behind_a_required_call_comes_another_one_or_the_end() -> None:
    made: list[Fixed] = []
    plan = replace(FREE, markers=None, calls=required(made))
    script = run(plan, [9, 60, 61])[1]
    assert (script.openers, script.openers_only, script.must_go_on) == ((70,), True, False)
    drawn, script = run(plan, [9, 60, 61, 70, 60, 61])
    assert drawn == [9, 90, 70, 60, 61, 8, 70, 9, 90, 70, 60, 61, 8]
    assert [one.full for one in made] == [True, True, True]
    # The same call once more: nothing follows.
    assert (script.openers, script.openers_only) == ((), True)


def test_a_single_call_required_or_not_is_followed_by_the_end_alone() -> None:
    plan = replace(FREE, markers=None, calls=required([], single=True))
    script = run(plan, [9, 60, 61])[1]
    assert (script.openers, script.openers_only, script.must_go_on) == ((), True, False)
    free = replace(required([], single=True), required=False)
    drawn, script = run(replace(plan, calls=free), [30, 9, 90, 60, 61])
    assert drawn == [30, 9, 90, 70, 60, 61, 8]
    assert (script.openers, script.openers_only) == ((), True)
