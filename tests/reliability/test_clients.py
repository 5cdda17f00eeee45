"""Clients that leave, send rubbish or too much, or do not read: the server goes on, and other sessions notice nothing.

What a client is owed for each unreadable line is in tests/doors/mcp/test_unreadable_lines.py, how the process ends in
tests/process/test_exit.py, and connections over TCP that send nothing in tests/doors/http/test_connections.py.
"""

import random
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from tests.clients import private_environ
from tests.reliability.raw_client import FEW_FILES, GREETING, RawClient, busy, line, raw_client, text_of, until
from tests.reliability.rubbish import Bytes, changed, nested, no_message, no_text, rubbish
from tests.sharing.sessions import holder_of, remove_runtime

GROUP = "Clients that misbehave"
GOES_ON = "the line is answered with an error or passed over; the client's next call and those of others are answered"
BIG = 50_000_000
ENDLESS = {"message": "Repeat the word la forever.", "thinking": False, "max_tokens": 3900}
UNREAD = 3000
"""Answers to so many pings are more than a pipe holds."""

Pair = tuple[RawClient, RawClient]


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, str]]:
    home = tmp_path_factory.mktemp("clients")
    environ = private_environ(home)
    yield environ
    remove_runtime(environ)


@pytest.fixture(scope="module")
def shared(environ: dict[str, str]) -> Generator[Pair]:
    """The process that holds the model, and an attached session."""
    with raw_client(environ) as holder, raw_client(environ) as other:
        holder.hello()
        other.hello()
        yield holder, other


LINES: dict[str, Bytes] = {
    "random bytes": rubbish,
    "bytes that are no UTF-8": no_text,
    "NUL characters": lambda chance: b"\0" * chance.randrange(1, 5000),
    "JSON that is no message": no_message,
    "JSON with up to 100,000 levels": nested,
    "a call with some bytes changed": changed,
}


def rubbish_passes(pair: Pair, data: bytes) -> None:
    """Send a line as the holder; it then answers a call of its own and one of the attached session."""
    holder, other = pair
    holder.send(data + b"\n")
    assert "mcp-local-llm" in holder.text("status")
    other.hello()


@pytest.mark.fault(GROUP, "a client sends {what}", GOES_ON)
@pytest.mark.parametrize("what", LINES)
def test_a_line_of_rubbish_harms_nobody(shared: Pair, what: str, tries: int) -> None:
    chance = random.Random(what)
    for _ in range(tries):
        rubbish_passes(shared, LINES[what](chance))


LONG: dict[str, bytes] = {
    "letters": b"x" * BIG,
    "brackets": b"[" * BIG,
    "escaped quotes": b'"' + b'\\"' * (BIG // 2),
    "one message": line({"id": 10**9, "method": "tools/call", "params": {"name": "chat", "arguments": {}}}).replace(
        b'"arguments": {', b'"arguments": {"message": "' + b"word " * (BIG // 5) + b'"'
    )[:-1],
}


@pytest.mark.fault(GROUP, "a client sends a line of 50 MB: {what}", GOES_ON, tries=5)
@pytest.mark.parametrize("what", LONG)
def test_a_line_of_fifty_megabytes_harms_nobody(shared: Pair, what: str, tries: int) -> None:
    holder, other = shared
    for _ in range(tries):
        holder.answered.pop(None, None)
        holder.answered.pop(10**9, None)
        holder.send_meanwhile(LONG[what] + b"\n")
        other.hello()
        (refused,) = holder.answers([10**9 if what == "one message" else None])
        assert "longer than 33,554,432 characters" in text_of(refused)
        holder.hello()


@pytest.mark.fault(GROUP, "half a line, and its rest later", "the call is answered; others are not held up meanwhile")
def test_the_rest_of_a_line_may_come_later(shared: Pair, tries: int) -> None:
    holder, other = shared
    chance = random.Random(1)
    for _ in range(tries):
        number, data = holder.call("chat", message="Hello")
        cut = chance.randrange(1, len(data))
        holder.send(data[:cut])
        other.hello()
        assert number not in holder.answered
        holder.send(data[cut:])
        assert text_of(holder.answers([number])[0]) == GREETING


@pytest.mark.fault(GROUP, "half a line, then the client is gone", "the process ends; others take over", tries=5)
def test_a_client_may_leave_in_the_middle_of_a_line(environ: dict[str, str], attempt: int) -> None:
    own = {**environ, "MCP_LOCAL_LLM_SHARE": "false"}
    with raw_client(own) as client:
        _, data = client.call("chat", message="Hello")
        client.send(data[: random.Random(attempt).randrange(1, len(data) - 1)])
        client.close_stdin()
        assert client.ended(within=20) == 0
        assert "Traceback" not in client.errors()


@pytest.mark.fault(GROUP, "10,000 pings at once", "each is answered once, and the next call as well", tries=2)
def test_ten_thousand_pings_are_answered_once_each(environ: dict[str, str], attempt: int) -> None:
    with raw_client(environ) as client:
        pings = [client.request("ping") for _ in range(10_000)]
        client.send_meanwhile(b"".join(data for _, data in pings))
        assert all(answer["result"] == {} for answer in client.answers(number for number, _ in pings))
        assert "mcp-local-llm" in client.text("status")


@pytest.mark.fault(
    GROUP,
    "500 parallel calls of {whose}, with at most 256 open files",
    "each is answered once: with the right answer, or that the queue is full",
    tries=3,
)
@pytest.mark.parametrize("whose", ["the process that holds the model", "an attached session"])
def test_five_hundred_parallel_calls_are_answered_once_each(tmp_path: Path, whose: str, tries: int) -> None:
    environ = private_environ(tmp_path)
    with raw_client(environ, FEW_FILES) as holder, raw_client(environ, FEW_FILES) as other:
        holder.hello()
        other.hello()
        client = holder if whose.startswith("the process") else other
        for _ in range(tries):
            calls = [client.call("chat", message="Hello") for _ in range(500)]
            client.send_meanwhile(b"".join(data for _, data in calls))
            told = Counter(text_of(answer) for answer in client.answers(number for number, _ in calls))
            assert told.pop(GREETING) >= 20
            assert all("the queue holds" in words for words in told), told
            assert psutil.Process(holder.process.pid).num_fds() < 64
            (holder if client is other else other).hello()
    remove_runtime(environ)


@pytest.mark.fault(
    GROUP,
    "a client that stops reading while {unread} are told, then reads again",
    "others are answered meanwhile; then each of its calls has its one answer",
    tries=3,
)
@pytest.mark.parametrize("unread", ["3,000 answers", "an answer and its progress"])
def test_a_client_that_stops_reading_holds_nobody_up(shared: Pair, unread: str, tries: int) -> None:
    for client, other in (shared, shared[::-1]) * tries:
        calls = [client.call("chat", **ENDLESS | {"max_tokens": 200})]
        calls += [client.request("ping") for _ in range(UNREAD if unread.startswith("3") else 0)]
        client.send_meanwhile(b"".join(data for _, data in calls))
        for _ in range(3):
            other.hello()
        assert all("result" in answer for answer in client.answers(number for number, _ in calls))


@pytest.mark.fault(
    GROUP,
    "a client that reads nothing and closes its end of the pipe: {whose}",
    "the process ends within 20 s, and the next call of another session is answered",
    tries=3,
)
@pytest.mark.parametrize("whose", ["its server holds the model", "its server is attached"])
def test_a_client_that_reads_nothing_and_leaves_takes_its_process_with_it(
    tmp_path: Path, whose: str, attempt: int
) -> None:
    environ = private_environ(tmp_path)
    with raw_client(environ) as holder, raw_client(environ) as other:
        holder.hello()
        other.hello()
        leaver, stays = (holder, other) if whose.endswith("model") else (other, holder)
        # Errors, which this program writes itself, and answers, which the SDK writes.
        leaver.send_what_fits(b"rubbish\n" if number % 2 else leaver.request("ping")[1] for number in range(UNREAD))
        leaver.close_stdin()
        assert leaver.ended(within=20) == 0
        stays.hello()
        assert holder_of(environ) == stays.process.pid
    remove_runtime(environ)


@pytest.mark.fault(
    GROUP, "a client is gone in the middle of {calls} calls", "all of them end; others are answered", tries=5
)
@pytest.mark.parametrize("calls", [1, 12])
def test_a_client_that_is_gone_leaves_no_call_behind(
    shared: Pair, environ: dict[str, str], calls: int, tries: int
) -> None:
    holder, _ = shared
    for _ in range(tries):
        with raw_client(environ) as client:
            client.hello()
            client.send(b"".join(client.call("chat", **ENDLESS)[1] for _ in range(calls)))
            until(lambda: busy(holder) == calls)
        holder.hello()
        until(lambda: busy(holder) == 0)
