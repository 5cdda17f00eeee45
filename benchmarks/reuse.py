"""What reuse of a prompt saves: the sixth turn of a conversation, three conversations in turns, one file twice."""

from pathlib import Path

from benchmarks.bare import KeptCache
from benchmarks.figures import Row, Series, compare
from benchmarks.subjects import Bench, Subject, ask, bench_for, user, words
from mcp_local_llm.values.chat import Message

TURNS = 6
TURN_TOKENS = 250
MOST = 1.15
LEAST = 5.0


class Conversation:
    """Five turns that we and bare mlx-lm have read one after the other, and a sixth that can be asked again.

    Each turn is about 250 tokens longer than the one before.
    """

    def __init__(self, bench: Bench, salt: str) -> None:
        self._bench, self._salt = bench, salt
        self._turns: list[Message] = []
        self._cache: KeptCache | None = None

    async def take_turn(self) -> None:
        """Go on by one turn, in our engine and with a cache kept by hand."""
        self._turns = self._longer(str(len(self._turns)))
        await ask(self._bench.engine, self._turns, 1)
        self._cache = self._bench.bare.keep(self._turns, self._cache)

    async def ask_next(self, number: int) -> dict[str, float]:
        """Return the milliseconds to the first token of a next turn in words of its own, in all three ways."""
        bare, prompt = self._bench.bare, self._longer(f"again {number}")
        kept = bare.first_token(prompt, self._cache)
        _, ours = await ask(self._bench.engine, prompt, 1)
        return {"kept": 1000 * kept, "ours": 1000 * ours, "cold": 1000 * bare.first_token(prompt)}

    def _longer(self, salt: str) -> list[Message]:
        """Return the turns so far, with an answer to the last and one more question."""
        bare = self._bench.bare
        answer = [Message(role="assistant", content=words(50, bare, f"answer {salt}"))] if self._turns else []
        question = words(TURN_TOKENS - 60, bare, f"{self._salt} {salt}")
        return [*self._turns, *answer, *user(question)]


async def sixth_turn(subject: Subject, scratch: Path) -> list[Row]:
    """Seconds to the first token of the sixth turn of a conversation."""
    return await _last_turn(subject, 1, "first token, turn 6")


async def three_conversations(subject: Subject, scratch: Path) -> list[Row]:
    """Seconds to the first token of the sixth turn where three conversations take turns."""
    return await _last_turn(subject, 3, "first token, turn 6 of three conversations in turns")


async def _last_turn(subject: Subject, count: int, what: str) -> list[Row]:
    series = Series()
    async with bench_for(subject) as bench:
        conversations = [Conversation(bench, f"{what} {at}") for at in range(count)]
        for _ in range(TURNS - 1):
            for conversation in conversations:
                await conversation.take_turn()
        for number in range(subject.sizes.rounds):
            series.add(number, **await conversations[number % count].ask_next(number))
    return _rows(what, subject.name, series)


async def second_question(subject: Subject, scratch: Path) -> list[Row]:
    """Seconds to the first token of further questions about a long text that was read for an earlier one."""
    series = Series()
    async with bench_for(subject) as bench:
        text = words(subject.sizes.file, bench.bare, "file")
        cache = bench.bare.keep(user(f"{text}\n\nWhat is it?"))
        await ask(bench.engine, user(f"{text}\n\nWhat is it?"), 1)
        for number in range(subject.sizes.rounds):
            question = user(f"{text}\n\n{number}: and why?")
            kept = 1000 * bench.bare.first_token(question, cache)
            ours = 1000 * (await ask(bench.engine, question, 1))[1]
            series.add(number, kept=kept, ours=ours, cold=1000 * bench.bare.first_token(question))
    return _rows(f"first token, second question on {subject.sizes.file} tokens", subject.name, series)


def _rows(what: str, model: str, series: Series) -> list[Row]:
    return [
        compare(f"{what} / cache kept by hand", model, series["ours"], series["kept"], "ms", most=MOST),
        compare(f"{what}, without reuse / engine", model, series["cold"], series["ours"], "ms", least=LEAST),
    ]
