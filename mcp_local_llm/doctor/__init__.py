"""The check-up: what is here, what is wrong, and what to do about it. Read-only.

`gather` reads everything once, through callables that are handed in; the rest are pure functions from `Facts` to
findings. It knows no engine, no protocol and no terminal.
"""

from mcp_local_llm.doctor.check import report
from mcp_local_llm.doctor.facts import Claude, Setup, Sources, Surveyed
from mcp_local_llm.doctor.finding import Finding, Verdict, wrong
from mcp_local_llm.doctor.gather import gather

__all__ = ["Claude", "Finding", "Setup", "Sources", "Surveyed", "Verdict", "gather", "report", "wrong"]
