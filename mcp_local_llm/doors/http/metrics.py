"""Writes the server's metrics in Prometheus' text format, version 0.0.4. Pure.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mcp_local_llm.doors.http.in_flight import InFlightState
from mcp_local_llm.values.results import Counts, Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "mcp_local_llm_"


@dataclass(frozen=True)
class _Metric:
    name: str
    kind: str
    help: str
    value: float | None
    labels: str = ""


def metrics_text(status: Status, counts: Counts, in_flight: InFlightState) -> str:
    """Write every metric; one without a value now is left out."""
    return "".join(_lines(_metrics(status, counts, in_flight)))


def _metrics(status: Status, counts: Counts, in_flight: InFlightState) -> Iterable[_Metric]:
    sessions = status.clients if status.holder_pid == status.pid else None
    resident = f'{{model="{_escaped(status.model)}"}}' if status.model else ""
    return (
        _Metric("requests_total", "counter", "Calls that came in.", counts.asked),
        _Metric("requests_answered_total", "counter", "Calls that got an answer.", counts.answered),
        _Metric("requests_failed_total", "counter", "Calls that ended with an error.", counts.failed),
        _Metric("requests_running", "gauge", "Calls being answered now.", status.calls_running),
        _Metric("requests_waiting", "gauge", "Calls in line.", status.waiting),
        _Metric("http_answers_open", "gauge", "Answers under way over HTTP.", in_flight.answers),
        _Metric("clients", "gauge", "Clients with an answer under way over HTTP.", len(in_flight.clients)),
        _Metric("sessions", "gauge", "Sessions attached to this process.", sessions),
        _Metric("prompt_tokens_total", "counter", "Tokens of prompts.", counts.prompt_tokens),
        _Metric("cached_tokens_total", "counter", "Prompt tokens not computed again.", counts.cached_tokens),
        _Metric("completion_tokens_total", "counter", "Tokens generated.", counts.completion_tokens),
        _Metric("reasoning_tokens_total", "counter", "Generated tokens of reasoning.", counts.reasoning_tokens),
        _Metric("tokens_per_second", "gauge", "Decode speed of the last answer.", counts.tokens_per_second),
        _Metric("loads_total", "counter", "Times that a model was loaded.", counts.loads),
        _Metric("load_seconds_total", "counter", "Seconds of loading.", round(counts.load_s, 6)),
        _Metric("model_resident", "gauge", "1 for the resident model.", float(status.state == "ready"), resident),
        _Metric("engine_bytes", "gauge", "Memory that the engine holds.", status.engine_bytes),
        _Metric("prefix_cache_bytes", "gauge", "KV cache kept for reuse.", status.prefix_cache_bytes),
        _Metric("memory_available_bytes", "gauge", "Memory the system can give.", status.memory_available_bytes),
        _Metric("uptime_seconds", "gauge", "Seconds since the start.", status.uptime_seconds),
    )


def _lines(metrics: Iterable[_Metric]) -> Iterable[str]:
    for metric in metrics:
        if metric.value is not None:
            name = PREFIX + metric.name
            value = int(metric.value) if metric.value == int(metric.value) else metric.value
            yield f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n{name}{metric.labels} {value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
