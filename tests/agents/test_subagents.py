"""The subagents that the local model answers."""

import json

from mcp_local_llm.agents.subagents import FOLDER, SUBAGENT_MODEL, local_agents
from mcp_local_llm.setup.places import prompt_names, read_prompt

MAX_PROMPT = 700
"""Characters: the first request of a subagent should stay near two thousand tokens, most of which are its tools'."""


def test_a_reader_and_a_summary_have_few_tools_a_short_prompt_and_the_local_model() -> None:
    agents = json.loads(local_agents())
    assert {name: agent["tools"] for name, agent in agents.items()} == {
        "local-reader": ["Read", "Grep"],
        "local-summary": ["Read"],
    }
    for name, agent in agents.items():
        assert agent["model"] == SUBAGENT_MODEL
        assert agent["description"]
        assert 100 < len(agent["prompt"]) < MAX_PROMPT, name


def test_their_texts_are_agent_files_as_users_write_them() -> None:
    for name in prompt_names(FOLDER):
        lines = read_prompt(name, FOLDER).splitlines()
        assert (lines[0], lines[1]) == ("---", f"name: {name}")
        assert [line.partition(":")[0] for line in lines[1:5]] == ["name", "description", "model", "tools"]
        assert lines[5] == "---"
