"""Finding the model in a body that arrives in pieces of any size."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_local_llm.agents.forwarder.model_name import MAX_NAME, ModelScan
from tests.sweep import examples

TEXTS = st.text(alphabet='\\"{}[],: model\n\u00fc', max_size=12)
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS | st.just("model"), inner, max_size=4),
    max_leaves=12,
)


def found(body: bytes, size: int) -> str | None:
    """The model that is found where the body comes in pieces of so many bytes."""
    scan = ModelScan()
    for start in range(0, len(body), size):
        if scan.feed(body[start : start + size]):
            break
    return scan.model


@examples(300)
@given(
    st.dictionaries(TEXTS, VALUES, max_size=4), TEXTS | st.none(), st.booleans(), st.sampled_from([None, 2]), st.data()
)
def test_the_model_is_found_whatever_stands_around_it_and_wherever_the_body_is_cut(
    fields: dict[str, Any], model: str | None, ascii_only: bool, indent: int | None, data: st.DataObject
) -> None:
    fields.pop("model", None)
    items = list(fields.items())
    if model is not None:
        items.insert(data.draw(st.integers(0, len(items))), ("model", model))
    body = json.dumps(dict(items), ensure_ascii=ascii_only, indent=indent).encode()
    assert found(body, data.draw(st.integers(1, len(body)))) == model
    assert found(body, len(body)) == model


@pytest.mark.parametrize("size", [1, 7, 65536])
def test_it_is_decided_with_the_bytes_that_end_the_name(size: int) -> None:
    body = b'{"max_tokens": 1, "model": "local-llm"'
    assert found(body, size) == "local-llm"
    assert not ModelScan().feed(body[:-1])


@pytest.mark.parametrize(
    "body",
    [
        b'{"' + b"k" * 2 * MAX_NAME + b'": 1, "model": "m"}',
        b'{"model": "' + b"m" * 2 * MAX_NAME + b'"}',
        b'{"a": "' + b"\\\\" * MAX_NAME + b'", "model": "m"}',
    ],
    ids=["key", "name", "backslashes"],
)
def test_what_would_be_held_without_end_counts_as_no_model(body: bytes) -> None:
    assert found(body, 1000) is None


def test_what_follows_the_model_is_not_looked_at() -> None:
    assert found(b'{"model": "m", ' + b"\xff" * 10 * MAX_NAME, 100_000) == "m"
    assert found(b'{"model": "m", "model": "n"}', 100) == "m"
