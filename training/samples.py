"""Dialogues as token ids: what the model reads, what it must say, and how both are packed into batches."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from training.dialogues import Dialogue
from training.qwen3.arrays import Array, Ints
from training.tokenizer import END_OF_TURN, ChatTokenizer

# How an engine closes a thought when its budget is spent.
FORCED_CLOSE = "\n</think>\n\n"

# A long answer counts as much as one of so many tokens, else counting to 150 would outweigh all the rest.
_FULL_WEIGHT_TOKENS = 40
# Widths are rounded up to this, so that few shapes occur.
_WIDTH_STEP = 8


@dataclass(frozen=True)
class Sample:
    """Token ids of a prompt, which is only read, and of the target, which is learnt."""

    prompt: list[int]
    target: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.target)


@dataclass(frozen=True)
class Batch:
    """Samples side by side, padded at the end.

    Attributes:
        inputs: token ids, shape (samples, width).
        targets: the token after each input, same shape.
        weights: what an error counts at each place, 0 at prompts and padding, same shape.
    """

    inputs: Ints
    targets: Ints
    weights: Array


def prompt_ids(tokenizer: ChatTokenizer, dialogue: Dialogue, *, thinking: bool) -> list[int]:
    """Return the ids of the prompt, as an engine renders it."""
    prompt = tokenizer.apply_chat_template(
        dialogue.messages,
        tools=dialogue.tools or None,
        add_generation_prompt=True,
        tokenize=False,
        enable_thinking=thinking,
    )
    return tokenizer.encode(prompt, add_special_tokens=False)


def samples(tokenizer: ChatTokenizer, dialogues: Iterable[Dialogue]) -> list[Sample]:
    """Return two samples of each dialogue: with its thought, and without."""
    return [_sample(tokenizer, dialogue, thinking) for dialogue in dialogues for thinking in (True, False)]


def _sample(tokenizer: ChatTokenizer, dialogue: Dialogue, thinking: bool) -> Sample:
    text = dialogue.expected(thinking=thinking) + ("" if dialogue.endless else END_OF_TURN)
    target = tokenizer.encode(text, add_special_tokens=False)
    return Sample(prompt_ids(tokenizer, dialogue, thinking=thinking), target)


def forced_close_prompt(tokenizer: ChatTokenizer, dialogue: Dialogue, thought_tokens: int) -> list[int]:
    """Return the ids up to a thought that was cut after `thought_tokens` tokens (at most all) and closed by force."""
    opening = tokenizer.encode("<think>\n", add_special_tokens=False)
    thought = tokenizer.encode(dialogue.thought, add_special_tokens=False)[:thought_tokens]
    closing = tokenizer.encode(FORCED_CLOSE, add_special_tokens=False)
    return prompt_ids(tokenizer, dialogue, thinking=True) + opening + thought + closing


def forced_close(tokenizer: ChatTokenizer, dialogue: Dialogue, random: Random) -> Sample:
    """Return a sample whose thought ends at a random place: the answer must come all the same.

    The cut thought is part of the prompt, so that the model never learns to close a thought early by itself.
    """
    length = len(tokenizer.encode(dialogue.thought, add_special_tokens=False))
    prompt = forced_close_prompt(tokenizer, dialogue, random.randint(0, length))
    return Sample(prompt, tokenizer.encode(dialogue.answer + END_OF_TURN, add_special_tokens=False))


def batches(every: Sequence[Sample], random: Random, tokens: int) -> Iterator[Batch]:
    """Yield the samples in batches of at most `tokens` tokens, padding included, in random order.

    Samples of about the same length share a batch; which ones do is random as well.
    """
    groups: list[list[Sample]] = [[]]
    # Ascending lengths: the newest sample is the widest of its group.
    for sample in sorted(every, key=lambda sample: len(sample) + random.random() * _WIDTH_STEP):
        if groups[-1] and _width([*groups[-1], sample]) * (len(groups[-1]) + 1) > tokens:
            groups.append([])
        groups[-1].append(sample)
    random.shuffle(groups)
    for group in groups:
        yield _pack(group)


def _width(group: Sequence[Sample]) -> int:
    longest = max(len(sample) for sample in group) - 1
    return -(-longest // _WIDTH_STEP) * _WIDTH_STEP


def _pack(group: Sequence[Sample]) -> Batch:
    shape = (len(group), _width(group))
    inputs, targets = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    weights = np.zeros(shape, np.float32)
    for row, sample in enumerate(group):
        ids = sample.prompt + sample.target
        last = len(ids) - 1
        inputs[row, :last] = ids[:-1]
        targets[row, :last] = ids[1:]
        weights[row, len(sample.prompt) - 1 : last] = min(1.0, _FULL_WEIGHT_TOKENS / len(sample.target))
    return Batch(inputs, targets, weights)
