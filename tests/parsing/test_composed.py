"""Answers put together from parts whose meaning is known: what comes out must be what went in."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from mcp_local_llm.parsing import parse
from tests.parsing.corpus import canonical
from tests.parsing.test_calls_as_data import DIALECTS, TOOLS
from tests.sweep import examples

THOUGHTS = [
    "plan",
    "I use `</think>` soon.",
    "```\n</think>\n```",
    "Maybe\n" + DIALECTS["hermes"]("run", "a", "b") + "\nno.",
    '<tool_call>{"na',
    "a ` tick",
    "{x} < y",
]
PROSE = [
    "Let me see.",
    "Use `<think>` here.",
    "It's `x` {y} [z], a < b.",
    "See <tool_call>, <tools> and <function=NAME> for more.",
    "Now `</tool_call>` ends it.",
    "```py\nx = '</think>'\n```",
    "An example:\n~~~\n" + DIALECTS["hermes"]("run", "a", "b") + "\n~~~",
    "Say `" + DIALECTS["mistral"]("run", "a", "b") + "` to call.",
    "<tool_call>\nnot json\n</tool_call>",
    '<tool_call>\n{"name": "run", "arguments": [1]}\n</tool_call>',
]
# What stands in an argument. No dialect's own closing tags: XML can't escape them.
DATA = [
    "</think>", "<think>", "<tool_call>", "</tool_call>", "```\n", "`", "{", "}", '"', "'", "\\", "\n", " ",
    "<|im_end|>", "<tool_response>", "[TOOL_CALLS]", "<tools>", "</s>", "~~~", "// x", "/* y",
    "é", "1", "None", "]", ")",
]  # fmt: skip
# Harmony's answers have another shape, and Llama's calls end the turn.
INSIDE_TEXT = sorted(set(DIALECTS) - {"harmony", "llama3"})


@dataclass(frozen=True)
class Call:
    """A call in the syntax of one dialect."""

    dialect: str
    body: str

    def __str__(self) -> str:
        return DIALECTS[self.dialect]("write", "a.md", self.body)


bodies = st.lists(st.sampled_from(DATA), max_size=6).map(lambda pieces: "".join(("x", *pieces, "x")))
calls = st.builds(Call, st.sampled_from(INSIDE_TEXT), bodies)
parts = st.lists(st.sampled_from(PROSE) | calls, min_size=1, max_size=5)
thoughts = st.lists(st.sampled_from(THOUGHTS), max_size=3).map("\n".join)


@given(thoughts, st.booleans(), parts, st.sampled_from(["", "\n<|im_end|>\n"]))
@examples(1500)
def test_an_answer_comes_apart_into_what_it_was_put_together_from(
    reasoning: str, prefilled: bool, answer: list[str | Call], end: str
) -> None:
    block = f"{'' if prefilled else '<think>'}\n{reasoning}\n</think>\n" if reasoning else ""
    raw = block + "\n".join(map(str, answer)) + end
    result = parse(raw, think_prefilled=prefilled and bool(block), tools=TOOLS)
    assert [(call.name, call.arguments) for call in result.tool_calls] == [
        ("write", {"path": "a.md", "body": part.body}) for part in answer if isinstance(part, Call)
    ]
    assert canonical(result.text) == canonical("\n".join(part for part in answer if isinstance(part, str)))
    assert canonical(result.reasoning) == canonical(reasoning)
