"""Ends answers at a stop string or at perfect repetition. Pure: it must not know a model, only ids and text."""

DEFAULT_LIMIT = 1024
"""Tokens of perfect repetition after which an answer is ended."""

MAX_PERIOD = 64
"""Tokens of the longest repeated block that is found."""

MIN_REPEATS = 8
"""Repetitions of a block that the limit must hold at least."""

CHECK_EVERY = 64
"""Tokens between two checks, so that their cost cannot be measured."""


class RepetitionGuard:
    """Detects that one answer repeats itself."""

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._tokens: list[int] = []
        self._next_look: float = limit or float("inf")

    def add(self, token: int) -> bool:
        """Take the next token; return whether the last `limit` tokens (and at most 63 more) were one loop."""
        self._tokens.append(token)
        if len(self._tokens) < self._next_look:
            return False
        del self._tokens[: -self._limit]
        self._next_look = self._limit + CHECK_EVERY
        return self._loops()

    def _loops(self) -> bool:
        tokens = self._tokens
        for period in range(1, min(MAX_PERIOD, self._limit // MIN_REPEATS) + 1):
            # The last token alone rules most periods out.
            if tokens[-1] == tokens[-1 - period] and tokens[period:] == tokens[:-period]:
                return True
        return False


class StopStrings:
    """Returns text up to a stop string, and holds back text that may become one."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""

    def feed(self, piece: str) -> tuple[str, str]:
        """Take a piece; return what is safe to show, and the stop string that was completed; empty for none.

        The stop string itself and everything after it are dropped.
        """
        if not self._stops:
            return piece, ""
        text = self._held + piece
        hits = [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if hits:
            self._held = ""
            at, stop = min(hits)
            return text[:at], stop
        keep = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], ""

    def flush(self) -> str:
        """Return what was held back: the answer ended, so it was no stop string after all."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    for size in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
