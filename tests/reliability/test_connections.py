"""Clients of the Unix socket and of the HTTP doors that send rubbish or too much, do not read, or are gone.

Connections over TCP that send nothing are in tests/doors/http/test_connections.py.
"""

import json
import random
import socket
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from mcp_local_llm import __version__
from tests.clients import WAIT_S, private_environ
from tests.doors.http.door import endless, question
from tests.doors.http.test_serve import Served, serve
from tests.reliability.raw_client import FEW_FILES, GREETING, RawClient, busy, raw_client, until
from tests.reliability.rubbish import Bytes, nested, no_text, rubbish
from tests.sharing.sessions import remove_runtime, runtime

GROUP = "Clients that misbehave"
OTHERS = "that connection is refused or closed; the calls of others are answered"

Pair = tuple[RawClient, RawClient]


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, str]]:
    environ = private_environ(tmp_path_factory.mktemp("connections"))
    yield environ
    remove_runtime(environ)


@pytest.fixture(scope="module")
def shared(environ: dict[str, str]) -> Generator[Pair]:
    """The process that holds the model, and an attached session."""
    with raw_client(environ) as holder, raw_client(environ) as other:
        holder.hello()
        other.hello()
        yield holder, other


SOCKET_LINES: dict[str, Bytes] = {
    "random bytes": lambda chance: rubbish(chance) + b"\n",
    "a line of 33 MiB": lambda chance: b"x" * (33 * 2**20) + b"\n",
    "JSON with up to 100,000 levels": lambda chance: nested(chance) + b"\n",
    "a verb that there is not": lambda chance: b'{"protocol":2,"version":"9","verb":"x","arguments":{}}\n',
    "arguments of other types": lambda chance: b'{"protocol":2,"version":"9","verb":"chat","arguments":[1]}\n',
    "half a line": lambda chance: b'{"protocol":2,"version":',
    "nothing": lambda chance: b"",
    "a call, and reads no answer": lambda chance: endless_verb(),
}


def endless_verb() -> bytes:
    message = {"role": "user", "content": "Repeat the word la forever."}
    request = {"messages": [message], "sampling": {"max_tokens": 2000}, "thinking": False, "stream": True}
    arguments = {"request": request, "model": "tiny", "caller": {}}
    return json.dumps({"protocol": 2, "version": __version__, "verb": "chat", "arguments": arguments}).encode() + b"\n"


@pytest.mark.fault(
    GROUP, "a process of this user sends {what} to the socket of the process that holds the model", OTHERS, tries=5
)
@pytest.mark.parametrize("what", SOCKET_LINES)
def test_rubbish_on_the_socket_harms_nobody(shared: Pair, environ: dict[str, str], what: str, tries: int) -> None:
    chance = random.Random(what)
    for _ in range(tries):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(WAIT_S)
            client.connect(str(runtime(environ) / "holder.sock"))
            with suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(SOCKET_LINES[what](chance))
            shared[1].hello()
    until(lambda: busy(shared[0]) == 0)


@pytest.mark.fault(
    GROUP,
    "300 silent connections to the socket, with at most 256 open files",
    "sessions that are attached are answered",
    tries=3,
)
def test_silent_connections_to_the_socket_shut_nobody_out(tmp_path: Path, tries: int) -> None:
    environ = private_environ(tmp_path)
    with raw_client(environ, FEW_FILES) as holder, raw_client(environ) as other:
        holder.hello()
        other.hello()
        for _ in range(tries):
            with ExitStack() as stack:
                for _ in range(300):
                    client = stack.enter_context(socket.socket(socket.AF_UNIX))
                    client.setblocking(False)
                    with suppress(BlockingIOError):
                        client.connect(str(runtime(environ) / "holder.sock"))
                other.hello()
                holder.hello()
    remove_runtime(environ)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    """A standing server with its doors."""
    environ = private_environ(tmp_path_factory.mktemp("doors"))
    with serve(environ, "--model", "tiny") as served:
        hello(served)
        yield served
    remove_runtime(environ)


def hello(served: Served) -> None:
    """Ask over HTTP; the answer is the right one."""
    reply = httpx.post(f"{served.url}/chat/completions", json=question("Hello"), timeout=WAIT_S)
    assert reply.json()["choices"][0]["message"]["content"] == GREETING, reply.text


def connected(served: Served) -> socket.socket:
    """A connection to the doors."""
    client = socket.create_connection(("127.0.0.1", httpx.URL(served.url).port or 0), WAIT_S)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return client


def post(body: bytes, announced: int | None = None) -> bytes:
    """A request with this body."""
    length = len(body) if announced is None else announced
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    return head.encode() + body


def streamed() -> bytes:
    """A request of an answer that goes on, as a stream."""
    return post(json.dumps(endless(stream=True)).encode())


KEPT = 3
"""Connections that stay open at once: with one answer more than that running, the next call waits for its turn."""
REQUESTS: dict[str, Bytes] = {
    "random bytes": rubbish,
    "NUL characters": lambda chance: b"\0" * 5000,
    "a head of 1 MB": lambda chance: b"GET / HTTP/1.1\r\nX: " + b"x" * 2**20,
    "half a head": lambda chance: b"POST /v1/chat",
    "half a body": lambda chance: post(b"{", 1000),
    "a body that is no UTF-8": lambda chance: post(no_text(chance)),
    "a body with up to 100,000 levels": lambda chance: post(nested(chance)),
    "a body of 32 MiB of brackets": lambda chance: post(b"[" * 2**25),
    "a body of 32 MiB of empty lists": lambda chance: post(b'{"messages":[' + b"[[]]," * (2**25 // 5 - 9) + b"[]]}"),
    "a body of 32 MiB of numbers": lambda chance: post(b'{"stop":[' + b"1," * (2**24 - 9) + b"1]}"),
    "a body of 50 MB": lambda chance: post(b"x" * 50_000_000),
    "a request, and reads no answer": lambda chance: streamed(),
}


@pytest.mark.fault(GROUP, "a client of the HTTP doors sends {what}", OTHERS, tries=10)
@pytest.mark.parametrize("what", REQUESTS)
def test_rubbish_over_http_harms_nobody(served: Served, what: str, tries: int) -> None:
    chance, kept = random.Random(what), list[socket.socket]()
    for _ in range(tries):
        kept.append(connected(served))
        with suppress(BrokenPipeError, ConnectionResetError):
            kept[-1].sendall(REQUESTS[what](chance))
        hello(served)
        if len(kept) == KEPT:
            kept.pop(0).close()
    for client in kept:
        client.close()
    hello(served)


@pytest.mark.fault(GROUP, "a client of the HTTP doors is gone in the middle of a stream", "others are answered")
def test_a_client_that_is_gone_ends_its_stream(served: Served, tries: int) -> None:
    for _ in range(tries):
        with connected(served) as client:
            client.sendall(streamed())
            assert client.recv(10)
        hello(served)


@pytest.mark.fault(
    GROUP,
    "500 requests over HTTP at once",
    "each is answered once: rightly, or that the queue is full or too many connections are open",
    tries=3,
)
def test_five_hundred_requests_are_answered_once_each(served: Served, tries: int) -> None:
    def ask(_: int) -> str:
        body = json.dumps(question("Hello")).encode()
        with connected(served) as client:
            client.sendall(post(body).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
            answer = b""
            while data := client.recv(65_536):
                answer += data
        return GREETING if GREETING.encode() in answer else answer[:12].decode()

    with ThreadPoolExecutor(100) as threads:
        for _ in range(tries):
            told = Counter(threads.map(ask, range(500)))
            assert told.total() == 500
            assert told[GREETING] >= 20
            assert set(told) <= {GREETING, "HTTP/1.1 429", "HTTP/1.1 503"}, told
            hello(served)
