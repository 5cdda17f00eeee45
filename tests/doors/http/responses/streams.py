"""Streams of the Responses API, read as a strict client reads them."""

import json

from tests.doors.http.door import Json


def events(text: str) -> list[Json]:
    """The events of a stream; each is named on a line of its own, too."""
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    told = [json.loads(data.removeprefix("data: ")) for _, data in blocks]
    assert [kind for kind, _ in blocks] == [f"event: {event['type']}" for event in told]
    return told
