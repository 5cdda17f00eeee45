"""Bytes that are no message, or nearly one."""

import random
from collections.abc import Callable

from tests.reliability.raw_client import line

Bytes = Callable[[random.Random], bytes]


def no_message(chance: random.Random) -> bytes:
    values = [
        "5",
        "null",
        "[]",
        "{}",
        '"text"',
        '{"jsonrpc":"2.0"}',
        '{"id":"x"}',
        '{"jsonrpc":"2.0","method":7}',
        "-0",
    ]
    return chance.choice(values).encode()


def rubbish(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(1, 5000)).replace(b"\n", b"")


def no_text(chance: random.Random) -> bytes:
    broken = chance.choice([b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x80" * 99])
    return b'{"jsonrpc":"2.0","id":' + broken + b',"method":"tools/call"}'


def nested(chance: random.Random) -> bytes:
    opening, closing = chance.choice([(b"[", b"]"), (b'{"a":', b"}")])
    levels = chance.randrange(300, 100_000)
    return opening * levels + b"1" + closing * chance.choice([0, levels])


def changed(chance: random.Random) -> bytes:
    """A call with a few bytes changed, which may still be one; its number is one that the client never uses."""
    data = bytearray(line({"id": "odd", "method": "tools/call", "params": {"name": "status", "arguments": {}}})[:-1])
    for _ in range(chance.randrange(1, 4)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data).replace(b"\n", b" ").replace(b'"odd"', b'"odd-%d"' % chance.randrange(10**9))
