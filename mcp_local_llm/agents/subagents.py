"""The subagents that the local model answers, as Claude Code takes them on its command line.

They are passed to it (`--agents`) and not installed: where no forwarder runs, their requests would go to the user's own
model provider, which knows no such model.
"""

import json

from mcp_local_llm.setup.places import prompt_names, read_prompt

FOLDER = "agents"
"""The folder of their texts in `prompts/`."""

SUBAGENT_MODEL = "local-llm"
"""The model's name in these texts, and in agent files of users; it always means the local model."""


def local_agents() -> str:
    """Return the agents as the JSON of `--agents`."""
    return json.dumps({name: _agent(read_prompt(name, FOLDER)) for name in prompt_names(FOLDER)})


def _agent(text: str) -> dict[str, object]:
    _, front, prompt = text.split("---\n", 2)
    fields = dict(line.split(": ", 1) for line in front.splitlines())
    return {
        "description": fields["description"],
        "prompt": prompt.strip(),
        "tools": fields["tools"].split(", "),
        "model": fields["model"],
    }
