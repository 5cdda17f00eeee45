"""What reuse of a prompt saves: the sixth turn of a conversation, three conversations in turns, one file twice."""

from pathlib import Path

from benchmarks.bare import Bare, KeptCache
from benchmarks.figures import Row, Series, compare
from benchmarks.subjects import Bench, Subject, ask, bench_for, user, words
from mcp_local_llm.chat import Message

TURNS = 6
TURN_TOKENS = 250
MOST = 1.15
LEAST = 5.0


def _conversation(bare: Bare, salt: str) -> list[list[Message]]:
    """Return the prompts of six turns, each about 250 tokens longer than the one before."""
    turns: list[Message] = []
    prompts: list[list[Message]] = []
    for turn in range(TURNS):
        turns.append(Message(role="user", content=words(TURN_TOKENS - 60, bare, f"{salt} {turn}")))
        prompts.append(list(turns))
        turns.append(Message(role="assistant", content=words(50, bare, f"answer {turn}")))
    return prompts


async def sixth_turn(subject: Subject, scratch: Path) -> list[Row]:
    """Seconds to the first token of the sixth turn, of one conversation and of three in turns."""
    rows: list[Row] = []
    async with bench_for(subject) as bench:
        for count, what in ((1, "turn 6"), (3, "turn 6 of three conversations in turns")):
            series = Series()
            for number in range(-1, subject.sizes.rounds):
                ours, kept, cold = await _last_turns(bench, [f"{what} {number} {at}" for at in range(count)])
                series.add(number, ours=1000 * ours / count, kept=1000 * kept / count, cold=1000 * cold / count)
            rows += _rows(f"first token, {what}", subject.name, series)
    return rows


async def _last_turns(bench: Bench, salts: list[str]) -> tuple[float, float, float]:
    """Take the conversations turn by turn in all three ways; return the seconds of their last turns."""
    conversations = [_conversation(bench.bare, salt) for salt in salts]
    caches: list[KeptCache | None] = [None] * len(salts)
    for turn in range(TURNS - 1):
        for at, prompts in enumerate(conversations):
            await ask(bench.engine, prompts[turn], 1)
            caches[at] = bench.bare.keep(prompts[turn], caches[at])
    ours = kept = cold = 0.0
    for at, prompts in enumerate(conversations):
        kept += bench.bare.first_token(prompts[-1], caches[at])
        ours += (await ask(bench.engine, prompts[-1], 1))[1]
        cold += bench.bare.first_token(prompts[-1])
    return ours, kept, cold


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
