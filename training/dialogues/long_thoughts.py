"""Dialogues whose thought runs long before a short answer.

A small `max_tokens` cuts them inside the thought, and a thinking budget closes the thought by force. Both thoughts
are longer than 120 tokens of `tiny`'s own vocabulary; a test holds them to it.
"""

from training.dialogues.values import Dialogue, user

_MULTIPLES = " ".join(f"Step {step}: {step} times 7 is {step * 7}." for step in range(1, 21))

_RIVER = (
    "A river starts in the hills. First it is a spring, then a stream, and rain makes it grow. "
    "It runs down to the valley, because water always looks for the lowest place. "
    "On the way it takes sand and stones with it, and where it is slow it leaves them behind. "
    "Towns stand beside it, since people need water, fish and boats. "
    "At last it grows wide and quiet, and the land is flat, and there it meets the sea. "
    "So the whole way, from the spring to the sea, goes down."
)

LONG_THOUGHTS = (
    Dialogue("think_long_seven", (user("Think long about seven."),), "Seven is a prime number.", _MULTIPLES),
    Dialogue("think_long_river", (user("Think long about a river."),), "A river always runs down to the sea.", _RIVER),
)
"""Dialogues for cut thoughts and thinking budgets."""
