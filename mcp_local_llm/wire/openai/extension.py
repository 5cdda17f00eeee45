"""What our own server adds to OpenAI's answer, under one key that other clients ignore; both ways. Pure.

With it a session that is attached to another's model returns the same result as one that holds the model.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from mcp_local_llm.values.chat import ChatResult, Timings
from mcp_local_llm.wire.json_values import JsonObject, as_list, as_number, as_object

KEY = "local_llm"


@dataclass(frozen=True)
class Extension:
    """The parts of a `ChatResult` that OpenAI's form has no place for."""

    timings: Timings = field(default_factory=Timings)
    thinking_closed: bool = True
    looped: bool = False
    schema_met: bool | None = None
    warnings: tuple[str, ...] = ()


def write_extension(result: ChatResult) -> dict[str, Any]:
    """Return the member to put into the last event, or into the whole answer."""
    return {
        KEY: {
            "timings": {name: round(value, 4) for name, value in dataclasses.asdict(result.timings).items()},
            "thinking_closed": result.thinking_closed,
            "looped": result.looped,
            "schema_met": result.schema_met,
            "warnings": list(result.warnings),
        }
    }


def read_extension(data: JsonObject) -> Extension | None:
    """Return what `write_extension` put there; None where nothing is."""
    if KEY not in data:
        return None
    found = as_object(data[KEY])
    timings = as_object(found.get("timings"))
    seconds = {item.name: as_number(timings.get(item.name)) or 0.0 for item in dataclasses.fields(Timings)}
    return Extension(
        timings=Timings(**seconds),
        thinking_closed=found.get("thinking_closed") is not False,
        looped=found.get("looped") is True,
        schema_met=met if isinstance(met := found.get("schema_met"), bool) else None,
        warnings=tuple(text for text in as_list(found.get("warnings")) if isinstance(text, str)),
    )
