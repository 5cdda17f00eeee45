"""A status as a value, for tests that need one and care for few of its fields."""

from mcp_local_llm.values.results import Status

READY = Status(
    state="ready",
    model="org/model",
    progress=None,
    chosen=None,
    calls_running=0,
    calls_answered=0,
    completion_tokens=0,
    tokens_per_second=None,
    last_error=None,
    memory_total_bytes=None,
    memory_available_bytes=None,
    pid=1,
    uptime_seconds=1.5,
    version="1",
)
