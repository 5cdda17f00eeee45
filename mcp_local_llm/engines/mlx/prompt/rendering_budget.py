"""What one rendering of a chat template may still do. Pure: knows no template."""

import time
from collections.abc import Callable

MAX_STEPS = 500_000
"""Turns of loops and calls of one rendering, beside those that long inputs need; a fraction of a second to some."""
STEPS_PER_CHARACTER = 8
"""What a template may do for each character of the conversation and its tools."""
MAX_SECONDS = 10.0
"""Longest rendering; a long conversation takes a few milliseconds."""
SIZE_PER_STEP = 16
"""Characters or items that are made, searched or compared for the price of a step."""
CHECK_EVERY = 32
"""Steps between two looks at the clock and at the request."""


class RenderingLimit(Exception):
    """A template passed a bound, or its request was cancelled."""


class RenderingBudget:
    """What one rendering may still do."""

    def __init__(
        self,
        characters: int,
        largest: int,
        cancelled: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Allow for a conversation of `characters`, and for a text of `largest` characters at any place."""
        self._steps = MAX_STEPS + STEPS_PER_CHARACTER * characters
        self._next_look = self._steps - CHECK_EVERY
        self._largest = largest
        self._printable = 4 * largest
        self._cancelled = cancelled
        self._clock = clock
        self._until = clock() + MAX_SECONDS

    def step(self, cost: int = 1) -> None:
        """Count a turn of a loop or a call.

        Raises:
            RenderingLimit: too many, too long, or cancelled.
        """
        self._steps -= cost
        if self._steps > self._next_look:
            return
        self._next_look = self._steps - CHECK_EVERY
        if self._steps < 0:
            raise RenderingLimit("it loops without end")
        if self._clock() > self._until:
            raise RenderingLimit(f"it took more than {MAX_SECONDS:.0f} seconds")
        if self._cancelled():
            raise RenderingLimit("the request was cancelled")

    def printed(self, size: int) -> None:
        """Count what is written into the prompt, or into a text that a part of the template makes."""
        self._printable -= size
        if self._printable < 0:
            raise RenderingLimit("it writes without end")

    @property
    def room(self) -> int:
        """How many characters or items one value may have now."""
        return min(self._largest, SIZE_PER_STEP * max(self._steps, 0))

    def built(self, size: int) -> None:
        """Count a text or list, which may be kept; refuse one that is larger than any prompt.

        Raises:
            RenderingLimit: it is too large, or as `step`.
        """
        if size > self._largest:
            raise RenderingLimit(f"it makes a text or list of more than {self._largest:,} characters or items")
        self.step(1 + size // SIZE_PER_STEP)
