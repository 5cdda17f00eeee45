"""Words that random dialogues are made of."""

import string
from collections.abc import Sequence
from random import Random

_SYLLABLES = (
    "ka ro mi ta lo ne su vi dan fer gil hop jas kel lum mar nor pax quin ros sel tor ul ver wes yan zed bri cho dre "
    "ba ce di fu go hi je ky li mo ni pe ri sa te vo wi xa zo"
)
_COMMON = (
    "the a report says that network disk cache server client failed user list map river stone blue seven window table "
    "graph engine tree light paper music old new fast please tell me about how why when explain write make "
    "of to in and is are do can my your this good best city book code water house money day year first last"
)
_OPENERS = (
    "What is",
    "What are",
    "How do I",
    "How many",
    "Why does",
    "When did",
    "Who wrote",
    "Where is",
    "Can you",
    "Please",
    "Tell me about",
    "Explain",
    "Write",
    "Describe",
    "Translate",
    "Summarize",
    "Give me",
)


def invented_word(random: Random, *, capital: bool = True) -> str:
    """Return a word that exists in no language: two or three syllables."""
    syllables = _SYLLABLES.split()
    word = "".join(random.choice(syllables) for _ in range(random.randint(2, 3)))
    return word.capitalize() if capital else word


def opener(random: Random) -> str:
    """Return how a question or a request begins."""
    return random.choice(_OPENERS)


def nonsense(random: Random, shortest: int, longest: int) -> str:
    """Return common words in random order, now and then an invented one, as one sentence without its mark."""
    common = _COMMON.split()
    words = [
        invented_word(random, capital=False) if random.random() < 0.15 else random.choice(common)
        for _ in range(random.randint(shortest, longest))
    ]
    sentence = " ".join(words)
    if random.random() < 0.4:
        return f"{opener(random)} {sentence}"
    return sentence[0].upper() + sentence[1:]


def scrambled(random: Random, pieces: Sequence[str], shortest: int, longest: int) -> str:
    """Return vocabulary pieces in random order, as one text without tags."""
    text = "".join(random.choice(pieces) for _ in range(random.randint(shortest, longest)))
    return text.replace("<", "").strip() or "x"


def random_characters(random: Random) -> str:
    """Return what looks like an identifier: two to eight letters of one case, digits, or both."""
    letters = random.choice([string.ascii_lowercase, string.ascii_uppercase])
    alphabet = random.choice([letters, string.digits, letters + string.digits])
    return "".join(random.choice(alphabet) for _ in range(random.randint(2, 8)))
