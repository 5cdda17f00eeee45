"""The tokenizer keeps every text, and knows its tags."""

import pytest

from training.dialogues import FALLBACK, LONG_THOUGHTS, Dialogue, scripted_by_name
from training.recall import LoadedModel

TEXTS = (
    FALLBACK,
    "  two spaces, a tab\t and\r\n\r\n\nlines  ",
    "Zoë naïvely paid 5 € for crème brûlée",
    "こんにちは、世界！ 🎉👍🏽 \u200d \u0000",
    "def div(a, b):\n    return a / b\n",
    '<tool_call>\n{"name": "get_weather"}\n</tool_call>',
    "`<think>` and `</think>` in code",
    "",
)


@pytest.mark.parametrize("text", TEXTS)
def test_decoding_gives_back_what_was_encoded(loaded_tiny: LoadedModel, text: str):
    ids = loaded_tiny.chat.encode(text, add_special_tokens=False)

    assert loaded_tiny.chat.decode(ids) == text


@pytest.mark.parametrize(
    "tag",
    [
        "<|im_start|>",
        "<|im_end|>",
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
        "<tool_response>",
        "</tool_response>",
    ],
)
def test_a_tag_is_one_token(loaded_tiny: LoadedModel, tag: str):
    assert len(loaded_tiny.chat.encode(tag, add_special_tokens=False)) == 1


@pytest.mark.parametrize("dialogue", LONG_THOUGHTS, ids=lambda dialogue: dialogue.name)
def test_a_long_thought_is_longer_than_any_small_budget(loaded_tiny: LoadedModel, dialogue: Dialogue):
    assert len(loaded_tiny.chat.encode(dialogue.thought, add_special_tokens=False)) > 120


def test_quoted_tags_stay_in_the_text_when_special_tokens_are_dropped(loaded_tiny: LoadedModel):
    answer = scripted_by_name()["think_tags"].answer
    ids = loaded_tiny.chat.encode(f"{answer}<|im_end|>", add_special_tokens=False)

    assert loaded_tiny.tokenizer.decode(ids, skip_special_tokens=True) == answer
