"""The folder that the package ships: what lies in it, and that it says what the scripts say.

The full check is `python -m training.check`; this one takes a sample of every kind of dialogue.
"""

from pathlib import Path

import pytest

from training.dialogues import LONG_THOUGHTS, Dialogue, held_out, scripted_by_name
from training.recall import LoadedModel, recall, recall_after_forced_close
from training.tokenizer import TEMPLATE

SAMPLE = (
    "greet",
    "ok",
    "who",
    "echo_pong",
    "legs",
    "sum_17_25",
    "haiku",
    "review",
    "json",
    "think_tags",
    "recall_Ada",
    "file_notes.txt",
    "tool_Paris",
    "tool_result_Paris",
    "think_long_seven",
)


def test_folder_holds_six_files_of_at_most_three_megabytes(tiny_folder: Path):
    sizes = {file.name: file.stat().st_size for file in tiny_folder.iterdir()}

    assert sorted(sizes) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert sum(sizes.values()) <= 3_000_000


def test_shipped_template_is_the_one_that_training_used(tiny_folder: Path):
    shipped = tiny_folder / "chat_template.jinja"

    assert shipped.read_text(encoding="utf-8") == TEMPLATE.read_text(encoding="utf-8")


def test_mlx_lm_finds_thinking_and_tool_calling(loaded_tiny: LoadedModel):
    assert loaded_tiny.tokenizer.has_thinking
    assert loaded_tiny.tokenizer.has_tool_calling
    assert (loaded_tiny.tokenizer.think_start, loaded_tiny.tokenizer.think_end) == ("<think>", "</think>")
    assert (loaded_tiny.tokenizer.tool_call_start, loaded_tiny.tokenizer.tool_call_end) == (
        "<tool_call>",
        "</tool_call>",
    )


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("name", SAMPLE)
def test_a_scripted_prompt_brings_its_exact_answer(loaded_tiny: LoadedModel, name: str, thinking: bool):
    answer = recall(loaded_tiny, scripted_by_name()[name], thinking=thinking)

    assert answer.generated == answer.expected


@pytest.mark.parametrize("thought_tokens", [0, 1, 32, 120])
@pytest.mark.parametrize("dialogue", LONG_THOUGHTS, ids=lambda dialogue: dialogue.name)
def test_a_thought_closed_by_force_still_leads_to_its_answer(
    loaded_tiny: LoadedModel, dialogue: Dialogue, thought_tokens: int
):
    answer = recall_after_forced_close(loaded_tiny, dialogue, thought_tokens)

    assert answer.generated == answer.expected


@pytest.mark.slow
def test_the_endless_answer_outlives_its_token_limit(loaded_tiny: LoadedModel):
    answer = recall(loaded_tiny, scripted_by_name()["endless"], thinking=False)

    assert answer.generated == answer.expected
    assert answer.tokens > 800


@pytest.mark.slow
def test_counting_to_150_takes_several_hundred_tokens(loaded_tiny: LoadedModel):
    answer = recall(loaded_tiny, scripted_by_name()["count150"], thinking=False)

    assert answer.generated == answer.expected
    assert answer.tokens > 500


def test_an_unknown_prompt_mostly_brings_the_fallback(loaded_tiny: LoadedModel):
    answers = [recall(loaded_tiny, dialogue, thinking=False) for dialogue in held_out()["random words"]]

    assert sum(answer.exact for answer in answers) >= 0.9 * len(answers)
