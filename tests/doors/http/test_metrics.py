"""The numbers for monitoring."""

import re

from mcp_local_llm.doors.http.in_flight import InFlightState
from mcp_local_llm.doors.http.metrics import metrics_text
from mcp_local_llm.values.results import Counts
from tests.doors.http.door import LEGS, Door, question
from tests.statuses import READY

SAMPLE = re.compile(r'(mcp_local_llm_[a-z_]+)(?:\{model="((?:[^"\\]|\\.)*)"\})? (-?[0-9.e+]+)')


def samples(text: str) -> dict[str, float]:
    """Every metric by its name; each must be declared by the two lines before it."""
    found: dict[str, float] = {}
    lines = text.splitlines()
    assert text.endswith("\n")
    for head, kind, sample in zip(*[iter(lines)] * 3, strict=True):
        match = SAMPLE.fullmatch(sample)
        assert match is not None, sample
        assert head.startswith(f"# HELP {match[1]} ")
        assert kind == f"# TYPE {match[1]} {'counter' if match[1].endswith('_total') else 'gauge'}"
        assert match[1] not in found
        found[match[1]] = float(match[3])
    return found


async def test_the_metrics_count_what_was_answered(door: Door) -> None:
    before = samples((await door.http.get("/metrics")).text)
    reply = await door.http.post("/v1/chat/completions", json=question(LEGS))
    await door.http.post("/v1/chat/completions", json=question(LEGS, model="no-such-model"))
    answered = await door.http.get("/metrics")
    assert answered.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    after = samples(answered.text)
    grown = {name: after[name] - before.get(name, 0) for name in after}
    usage = reply.json()["usage"]
    assert grown["mcp_local_llm_requests_total"] == 2
    assert grown["mcp_local_llm_requests_answered_total"] == 1
    assert grown["mcp_local_llm_requests_failed_total"] == 1
    assert grown["mcp_local_llm_prompt_tokens_total"] == usage["prompt_tokens"]
    assert grown["mcp_local_llm_completion_tokens_total"] == usage["completion_tokens"]
    assert after["mcp_local_llm_model_resident"] == 1
    assert after["mcp_local_llm_loads_total"] >= 1
    assert after["mcp_local_llm_load_seconds_total"] > 0
    assert after["mcp_local_llm_requests_running"] == after["mcp_local_llm_requests_waiting"] == 0


def test_a_label_keeps_its_quotes_and_what_is_unknown_is_left_out() -> None:
    status = READY.model_copy(update={"model": 'a"b\\c'})
    text = metrics_text(status, Counts(), InFlightState(0, ()))
    assert 'mcp_local_llm_model_resident{model="a\\"b\\\\c"} 1\n' in text
    assert "mcp_local_llm_uptime_seconds 1.5\n" in text
    assert not {"mcp_local_llm_tokens_per_second", "mcp_local_llm_memory_available_bytes"} & set(samples(text))
