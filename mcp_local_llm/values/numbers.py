"""Numbers of requests and settings, which true and false are none of: Python takes them for 1 and 0. Pure."""

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "Input should be a number, not true or false")
    return value


NO_BOOLEAN = BeforeValidator(_no_boolean)
"""Refuses true and false; it comes last in an `Annotated`, or the schema loses the range that stands behind it."""
