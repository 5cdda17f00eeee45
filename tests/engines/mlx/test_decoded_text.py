"""The text of an answer is what the tokenizer decodes: each space, each byte, and no half of a character."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mcp_local_llm.engines.mlx.prompt.decoded_text import DecodedText
from tests.sweep import examples


def byte_level() -> Any:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["\u0120Paris", "\u0120\u0120\u0120\u0120return", "b"]
    tokenizer: Any = Tokenizer(
        models.BPE(vocab={word: at for at, word in enumerate([*alphabet, *words[:2]])}, merges=[])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def sentence_piece() -> Any:
    """As Llama 2 and Mistral decode: a space is written as an underscore, and the first one of a text is dropped."""
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581Paris", "\u2581is", "\u2581", "b", "\n", "."]
    vocabulary = {piece: at for at, piece in enumerate(pieces)}
    tokenizer: Any = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


TOKENIZERS = {"byte level": byte_level(), "sentencepiece": sentence_piece()}


def ids(tokenizer: Any, *pieces: str) -> list[int]:
    vocabulary = tokenizer.get_vocab()
    return [vocabulary[piece] for piece in pieces]


def bytes_of(tokenizer: Any, text: str) -> list[int]:
    """The tokens of single bytes that make up a text."""
    if "<0x00>" in tokenizer.get_vocab():
        return ids(tokenizer, *(f"<0x{byte:02X}>" for byte in text.encode()))
    return list(tokenizer.encode(text, add_special_tokens=False))


def decoded(tokenizer: Any, tokens: list[int], context: list[int] | None = None) -> str:
    text = DecodedText(tokenizer, context or ())
    return "".join(text.add(token) for token in tokens) + text.finish()


@pytest.mark.parametrize(("name", "paris"), [("byte level", "\u0120Paris"), ("sentencepiece", "\u2581Paris")])
def test_a_continuation_keeps_its_first_space(name: str, paris: str) -> None:
    tokenizer = TOKENIZERS[name]
    assert decoded(tokenizer, ids(tokenizer, paris), bytes_of(tokenizer, "The capital of France is")) == " Paris"
    assert decoded(tokenizer, ids(tokenizer, paris), bytes_of(tokenizer, "🎉" * 9)) == " Paris"


def test_an_answer_keeps_its_indentation() -> None:
    tokenizer = TOKENIZERS["byte level"]
    assert decoded(tokenizer, ids(tokenizer, "\u0120\u0120\u0120\u0120return")) == "    return"


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("text", ["a\0b", "line\r\nline\r\n", "\u0100\u0101", "für 4 € 👍🏽", "\t\n "])
def test_every_byte_comes_as_it_is(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    assert decoded(tokenizer, bytes_of(tokenizer, text)) == text


@pytest.mark.parametrize("name", TOKENIZERS)
def test_an_incomplete_last_character_is_dropped(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    tokens = bytes_of(tokenizer, "Yes 🎉")
    assert [decoded(tokenizer, tokens[:-missing]) for missing in (1, 2, 3)] == ["Yes "] * 3
    assert decoded(tokenizer, tokens) == "Yes 🎉"


def test_bytes_that_are_no_character_do_not_hold_up_the_text() -> None:
    tokenizer = TOKENIZERS["sentencepiece"]
    text = DecodedText(tokenizer)
    shown = "".join(text.add(token) for token in ids(tokenizer, *["<0xFF>"] * 40))
    assert 20 < len(shown) <= 40


@given(text=st.text(max_size=40), cut=st.integers(0, 40))
@examples(200)
def test_the_text_is_what_the_tokenizer_decodes_at_once(text: str, cut: int) -> None:
    tokenizer = TOKENIZERS["byte level"]
    tokens = bytes_of(tokenizer, text)
    assert decoded(tokenizer, tokens) == text
    before = len(text[:cut].encode())
    assert decoded(tokenizer, tokens[before:], tokens[:before]) == text[cut:]
