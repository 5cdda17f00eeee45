"""JSON of very many small values is refused before it is decoded: each would become an object, and each be checked.

A body of 32 MiB of empty lists took 23 GB and minutes in which nobody else was answered.
"""

import json

import pytest

from mcp_local_llm.wire.json_values import MAX_VALUES, read_json

MANY = MAX_VALUES + 1
TEXT = 'a, "b" [{ \\ ' * MAX_VALUES
"""A text of as many commas and brackets as a JSON text may not have."""


@pytest.mark.parametrize("item", ["{}", "[[]]", "1", '""', '"a,b"', '"\\",\\""', "null", '{"a":1}'])
def test_more_items_than_that_are_refused(item: str) -> None:
    with pytest.raises(ValueError, match="more than 200,000 values"):
        read_json(f"[{','.join([item] * MANY)}]")


def test_more_members_than_that_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 200,000 values"):
        read_json(json.dumps({str(number): number for number in range(MANY)}))


@pytest.mark.parametrize(
    "broken", ['"' * 3 * MANY, '["' + '\\"' * MANY, '["' + ",\\" * MANY, '"a"' * MANY + "," * MANY], ids=range(4)
)
def test_what_is_no_json_is_refused_as_fast(broken: str) -> None:
    with pytest.raises(ValueError, match=r"line 1|200,000 values"):
        read_json(broken)


def test_a_text_may_hold_whatever_it_likes() -> None:
    value = {TEXT[:50]: [TEXT, {"content": TEXT}]}
    assert read_json(json.dumps(value)) == value


def test_as_many_as_that_are_read() -> None:
    # The list itself counts.
    assert read_json(f"[{','.join('1' * (MAX_VALUES - 1))}]") == [1] * (MAX_VALUES - 1)
