"""The parser's corpus over HTTP: reciting models say each case, and the stream of the door is what the rules say.

So each case also goes through the engine's streaming path.
"""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from mcp_local_llm.parsing import Parsed
from mcp_local_llm.values.chat import ToolCall
from tests.apps import opened
from tests.behaviour.reciting_model import write_reciting_model
from tests.clients import private_environ
from tests.doors.http.conftest import open_door
from tests.doors.http.door import Door, events
from tests.parsing.corpus import Case, cases, mismatches
from tests.parsing.recited import families, script


def spoken(found: list[Case]) -> list[Case]:
    """The cases that a model can say; a model that says nothing has no words to be told by."""
    return [case for case in found if "message" not in case and case["raw"].strip()]


OFTEN = families(spoken([*cases("cases_2026.jsonl"), *cases("families.jsonl"), *cases("cases.jsonl")[::4]]))
REST = families(spoken(cases("cases.jsonl")))
MODELS = {
    f"{kind}-{number}": group
    for kind, found in (("often", OFTEN), ("sweep", REST))
    for number, group in enumerate(found.items())
}
"""The models by name, each with its markup and its cases; a sweep has those of the whole shared corpus."""


@pytest.fixture(scope="module")
async def reciting(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Door]:
    """A door before one reciting model for each family of cases."""
    home: Path = tmp_path_factory.mktemp("home")
    for name, (family, group) in MODELS.items():
        scripts = {key: script(case) for key, case in group.items()}
        write_reciting_model(home / "models" / name, scripts, mentions=" ".join(family))
    environ = {**private_environ(home), "MCP_LOCAL_LLM_FOLDERS": str(home / "models")}
    async with opened(environ, home) as app, open_door(app) as door:
        yield door


async def asked(door: Door, model: str, case: Case, *, stream: bool) -> Parsed:
    """The answer as the door tells it, joined from its events."""
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": case["id"]}], "stream": stream}
    if case["tools"]:
        body["tools"] = case["tools"]
    reply = await door.http.post("/v1/chat/completions", json={**body, "repetition_limit": 0, "max_tokens": 4000})
    assert reply.status_code == 200, reply.text
    told = events(reply.text) if stream else [reply.json()]
    parts = [choice["delta" if stream else "message"] for event in told for choice in event["choices"]]
    calls = [call["function"] for part in parts for call in part.get("tool_calls") or ()]
    return Parsed(
        "".join(part.get("content") or "" for part in parts),
        "".join(part.get("reasoning_content") or part.get("reasoning") or "" for part in parts),
        tuple(ToolCall(name=call["name"], arguments=json.loads(call["arguments"])) for call in calls),
    )


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.sweep] * name.startswith("sweep")) for name in MODELS]
)
async def test_each_case_is_streamed_as_the_rules_say(reciting: Door, name: str) -> None:
    wrong: dict[str, Any] = {}
    for number, (key, case) in enumerate(MODELS[name][1].items()):
        streamed = await asked(reciting, name, case, stream=True)
        if found := mismatches(case, streamed):
            wrong[key] = found
        if number % 10 == 0:
            whole = await asked(reciting, name, case, stream=False)
            assert (whole.text, whole.reasoning, whole.tool_calls) == (
                streamed.text,
                streamed.reasoning,
                streamed.tool_calls,
            )
    assert wrong == {}
