"""What one epoch is made of: every scripted dialogue, and fresh random ones."""

from random import Random

from training.dialogues import (
    LONG_THOUGHTS,
    conversations,
    copies,
    echoes,
    fallbacks,
    gibberish,
    scripted,
    with_strange_system_prompts,
)
from training.samples import Sample, forced_close, samples
from training.tokenizer import ChatTokenizer, printable_pieces

_FALLBACKS = 16
_COPIES = 32
_GIBBERISH = 20
_ECHOES = 40
_STRANGE_SYSTEM_PROMPTS = 16
# Every long thought is cut at so many places, and so many other dialogues at one place each.
_CUTS_OF_A_LONG_THOUGHT = 6
_CUT_THOUGHTS = 24


class Curriculum:
    """The samples of each epoch; the same seed and epoch give the same samples."""

    def __init__(self, tokenizer: ChatTokenizer, seed: int) -> None:
        self._tokenizer = tokenizer
        self._seed = seed
        self._pieces = printable_pieces(tokenizer)
        self._scripted = samples(tokenizer, scripted())
        self._finite = [dialogue for dialogue in conversations() if not dialogue.endless]

    def epoch(self, number: int) -> list[Sample]:
        """Return the samples of one epoch, in no useful order."""
        random = Random(f"{self._seed}-{number}")
        generated = [
            *fallbacks(random, _FALLBACKS),
            *gibberish(random, self._pieces, _GIBBERISH),
            *copies(random, _COPIES),
            *echoes(random, self._pieces, _ECHOES),
            *with_strange_system_prompts(random, _STRANGE_SYSTEM_PROMPTS),
        ]
        cut = [*LONG_THOUGHTS * _CUTS_OF_A_LONG_THOUGHT, *random.sample(self._finite, _CUT_THOUGHTS)]
        return [
            *self._scripted,
            *samples(self._tokenizer, generated),
            *(forced_close(self._tokenizer, dialogue, random) for dialogue in cut),
        ]
