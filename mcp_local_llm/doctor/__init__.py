"""The check-up: what is here, what is wrong, and what to do about it. Read-only.

`gather` reads everything once, through callables that are handed in; the rest are pure functions from `Facts` to
findings. It knows no engine, no protocol and no terminal.
"""

from mcp_local_llm.doctor.check import gather, report
from mcp_local_llm.doctor.facts import Claude, Finding, Setup, Sources, Surveyed, Verdict, wrong

__all__ = ["Claude", "Finding", "Setup", "Sources", "Surveyed", "Verdict", "gather", "report", "wrong"]
