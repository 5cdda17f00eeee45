"""Dialogues that training never sees: they measure reading, not recall."""

from random import Random

from training.dialogues.generated import copies, fallbacks, with_strange_system_prompts
from training.dialogues.scripted import FALLBACK, echo
from training.dialogues.values import Dialogue, user

# Far away from every seed of an epoch, which are strings.
_SEED = 77_777

_ECHOED = ("gamma", "PONG-42", "apple pie", "7f3a9c", "good morning", "Lisbon", "x = 3", "1789")

_QUESTIONS = (
    "What is the capital of France?",
    "How tall is Mount Everest?",
    "Why is the sky blue?",
    "Can you recommend a good pizza place?",
    "Write an essay on democracy.",
    "Which planet is the largest?",
    "Solve x squared minus one equals zero.",
    "Who painted the Mona Lisa?",
    "Sort these numbers from small to large",
    "Help me plan a birthday party",
    "Is it raining?",
    "Convert 10 miles to kilometres.",
    "Tell me a joke about computers.",
    "Refactor this function so that it is faster.",
    "Do you like cheese?",
    "thanks",
    "Find the bug in my program please",
    "What should I cook tonight with rice and beans?",
    "Draft an email to my boss about holidays",
    "Is Python better than Rust?",
)


def held_out() -> dict[str, list[Dialogue]]:
    """Return the held-out dialogues by what they measure."""
    return {
        "echoed words": [echo(text) for text in _ECHOED],
        "copies": copies(Random(_SEED), 12),
        "random words": fallbacks(Random(_SEED + 1), 20),
        "real questions": [
            Dialogue("question", (user(text),), FALLBACK, "I have no script for this.") for text in _QUESTIONS
        ],
        "strange system prompts": with_strange_system_prompts(Random(_SEED + 2), 12),
    }
