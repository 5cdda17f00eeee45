"""The tokenizer of `tiny`: byte-level BPE over its own dialogues, in the files that transformers and mlx-lm read."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Protocol, cast

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer

from training.dialogues import FALLBACK, Dialogue, conversations, copies, fallbacks

TEMPLATE = Path(__file__).with_name("chat_template.jinja")
END_OF_TURN = "<|im_end|>"
PADDING = "<|endoftext|>"

_SPECIAL = (PADDING, "<|im_start|>", END_OF_TURN)
# One token each, but not special: a decoder keeps them in the text, where a parser looks for them.
_MARKS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")
# Qwen's pattern: each digit is a token of its own, which is what makes counting and copying numbers learnable.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# What the chat template writes around tools: without it, every prompt with tools grows by some thirty tokens.
_AROUND_TOOLS = (
    "# Tools\n\nYou may call these functions:\n<tools>\n</tools>\n\n"
    'To call one, write:\n{"name": <function-name>, "arguments": <args-json-object>}\n'
)
_CONTEXT = 4096


class ChatTokenizer(Protocol):
    """What training needs of a transformers tokenizer."""

    def __len__(self) -> int: ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Return the ids of a text."""
        ...

    def decode(self, token_ids: list[int]) -> str:
        """Return the text of ids."""
        ...

    def convert_tokens_to_ids(self, tokens: str) -> int:
        """Return the id of one token."""
        ...

    def apply_chat_template(
        self,
        conversation: Sequence[dict[str, Any]],
        *,
        tools: Sequence[dict[str, Any]] | None,
        add_generation_prompt: bool,
        tokenize: bool,
        **switches: bool,
    ) -> str:
        """Return the prompt of a conversation."""
        ...


def open_tokenizer(folder: Path) -> ChatTokenizer:
    """Return the tokenizer of a model folder."""
    return cast(ChatTokenizer, cast(Any, AutoTokenizer).from_pretrained(str(folder)))


def make_tokenizer(folder: Path, vocabulary: int) -> ChatTokenizer:
    """Train the tokenizer, write its three files into `folder` and return it.

    Args:
        folder: an existing folder.
        vocabulary: at most so many tokens, special ones included.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(_WORDS), "isolated"), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(_SPECIAL) - len(_MARKS),
        show_progress=False,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    # The library's stubs leave the elements of these two lists open, which strict checking refuses.
    added = cast(Any, tokenizer)
    added.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in _SPECIAL])
    added.add_tokens([AddedToken(text, special=False, normalized=False) for text in _MARKS])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(_tokenizer_config(), indent=1) + "\n", encoding="utf-8")
    return open_tokenizer(folder)


def printable_pieces(tokenizer: ChatTokenizer) -> list[str]:
    """Return the text of every ordinary token that is whole, visible characters."""
    ordinary = len(tokenizer) - len(_SPECIAL) - len(_MARKS)
    pieces = (tokenizer.decode([token]) for token in range(ordinary))
    return [piece for piece in pieces if "\ufffd" not in piece and piece.isprintable()]


def _tokenizer_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END_OF_TURN,
        "pad_token": PADDING,
        "bos_token": None,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": _CONTEXT,
        "errors": "replace",
        "split_special_tokens": False,
    }


def _corpus() -> Iterable[str]:
    """Yield the texts that merges are counted in."""
    random = Random(5)
    for dialogue in conversations():
        yield from _texts(dialogue)
    for dialogue in copies(random, 60):
        yield from (message["content"] for message in dialogue.messages)
    for dialogue in fallbacks(random, 60):
        yield from (message["content"] for message in dialogue.messages)
    yield from [FALLBACK] * 4
    yield from [_AROUND_TOOLS] * 4


def _texts(dialogue: Dialogue) -> Iterable[str]:
    yield from (message["content"] for message in dialogue.messages)
    yield dialogue.thought
    yield dialogue.answer
    if dialogue.tools:
        yield json.dumps(dialogue.tools)
