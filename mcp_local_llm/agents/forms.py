"""The ways to start an agent, and the measured size of the first request of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcp_local_llm.values.launch_order import AgentName

AGENTS: Mapping[AgentName, str] = {"claude": "Claude Code", "codex": "Codex", "opencode": "opencode"}
"""Name on the command line → name in sentences."""


@dataclass(frozen=True)
class Form:
    """One way to start an agent.

    Attributes:
        request_bytes: of the body of its first request with a short prompt, in a folder without instruction files.
        request_tokens: of tools, system and messages of that body by the tokenizer of SmolLM2, without a template.
    """

    agent: AgentName
    small: bool
    request_bytes: int
    request_tokens: int


FORMS: Sequence[Form] = (
    Form("claude", False, 18_200, 4_600),
    Form("claude", True, 13_700, 3_600),
    Form("codex", False, 9_200, 1_900),
    Form("opencode", False, 30_700, 7_600),
)
"""`python -m benchmarks.agent_requests` measures them anew with the agents' own programs."""


def form_of(agent: AgentName, *, small: bool) -> Form | None:
    """Return the form; None where the agent has no small one."""
    return next((form for form in FORMS if (form.agent, form.small) == (agent, small)), None)


SAMPLE = """Reads a file of the project. Usage: the path must be absolute, not relative. By default up to 2000 lines \
are read, starting at the first one; offset and limit choose another part of a long file. Lines come back with their \
numbers, as `cat -n` writes them. Read several files at once where you can, and read a file before you edit it.
{"name": "Read", "input_schema": {"type": "object", "properties": {"file_path": {"type": "string", "description": \
"The absolute path of the file to read"}, "limit": {"type": "integer", "description": "The number of lines"}}, \
"required": ["file_path"], "additionalProperties": false}}"""
"""A text of the kind that agents send; a model's count of it tells how its tokenizer compares with the table's."""

SAMPLE_TOKENS = 161
"""Tokens of `SAMPLE` by the tokenizer of SmolLM2."""


def estimated_request(form: Form, sample_tokens: int | None) -> int:
    """Estimate the tokens of a form's first request.

    Args:
        form: which request.
        sample_tokens: the model's own count of `SAMPLE`; None takes the tokens of the table.
    """
    return round(form.request_tokens * (sample_tokens or SAMPLE_TOKENS) / SAMPLE_TOKENS)
