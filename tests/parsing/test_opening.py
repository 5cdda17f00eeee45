"""Whether a block is open comes from the end of the rendered prompt, and from the parser's own table."""

import pytest

from mcp_local_llm.parsing import TagPair
from mcp_local_llm.parsing.markup import TAG_PAIRS
from mcp_local_llm.parsing.opening import AnswerOpening, answer_opening


@pytest.mark.parametrize("pair", TAG_PAIRS, ids=lambda pair: pair.opener)
@pytest.mark.parametrize("behind", ["", "\n", "\n\n", " \r\n"])
def test_a_prompt_that_ends_in_an_opener_leaves_its_block_open(pair: TagPair, behind: str) -> None:
    assert answer_opening(f"<user>Hi\n<assistant>{pair.opener}{behind}") == AnswerOpening(pair)


@pytest.mark.parametrize(
    "end",
    ["<think>\n\n</think>\n\n", "</think>", "<|channel>thought\n<channel|>", "<|open|>response<|sep|>", "<|content|>"],
)
def test_behind_a_closed_block_the_answer_begins(end: str) -> None:
    assert answer_opening(f"<user>Hi\n<assistant>{end}") == AnswerOpening(closed=True)


@pytest.mark.parametrize(
    "prompt",
    ["", "Hi", "<|im_start|>assistant\n", "<|start|>assistant", "<think>x</think>Hi<|im_end|>\n<|im_start|>a\n"],
)
def test_other_ends_say_nothing(prompt: str) -> None:
    assert answer_opening(prompt) == AnswerOpening()


def test_a_tag_that_the_models_files_name_counts_as_well() -> None:
    pair = TagPair("<ponder>", "</ponder>")
    assert answer_opening("Hi<ponder>\n", (pair,)) == AnswerOpening(pair)
    assert answer_opening("Hi</ponder>\n", (pair,)) == AnswerOpening(closed=True)
    assert answer_opening("Hi<ponder>\n") == AnswerOpening()


def test_a_user_may_write_the_opener_at_the_end_of_the_message() -> None:
    assert answer_opening("User: what is <think>", last_message="what is <think>") == AnswerOpening()
    assert answer_opening("User: <think>\nYou: <think>\n", last_message="<think>").pair is not None
    assert answer_opening("User: what is <think>\nYou: <think>\n", last_message="what is <think>").pair is not None
