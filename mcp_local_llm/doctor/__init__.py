"""The check-up: reads the state of this installation and says what is wrong and what to do; it changes nothing.

`read_facts` reads everything once, through callables that are handed in; the checks are pure functions from `Facts` to
findings. It must not know engines, protocols or terminals.
"""

from mcp_local_llm.doctor.check import check_facts, read_facts
from mcp_local_llm.doctor.facts import (
    ClaudeCode,
    ClientFacts,
    Examination,
    FactSources,
    Finding,
    InstallationFacts,
    Setup,
    has_problems,
)

__all__ = [
    "ClaudeCode",
    "ClientFacts",
    "Examination",
    "FactSources",
    "Finding",
    "InstallationFacts",
    "Setup",
    "check_facts",
    "has_problems",
    "read_facts",
]
