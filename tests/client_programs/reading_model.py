"""A reciting model for agents: it answers, or calls the agent's tool that reads a file, as the user's words say."""

import json
from pathlib import Path
from typing import Any

from tests.behaviour.reciting_model import Script, cut, write_reciting_model

PLAIN, READ = "RECITE-PLAIN", "RECITE-READ"
"""Words of the user that choose what is recited."""
ANSWER, FOUND = "Ten legs.", "The file says: Buy milk."

# The last user turn with one of these words chooses, whatever stands behind it; behind a tool's result it is DONE.
_CHOICE = (
    "{%- set ns = namespace(script='DONE') -%}"
    "{%- for message in messages -%}"
    "{%- if message.role == 'tool' -%}{%- set ns.script = 'DONE' -%}{%- endif -%}"
    "{%- if message.role == 'user' -%}{%- for name in openings -%}"
    "{%- if name in message.content -%}{%- set ns.script = name -%}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if not tools -%}{%- set ns.script = 'TITLE' -%}{%- endif -%}{#- <tool_call> tool_call.name -#}"
)


def write_reading_model(folder: Path, tool: str, arguments: dict[str, Any]) -> None:
    """Write a model whose call of `tool` reads the file."""
    call = json.dumps({"name": tool, "arguments": arguments})
    scripts = {
        PLAIN: Script(cut(ANSWER)),
        READ: Script(cut(f"I read it.\n<tool_call>\n{call}\n</tool_call>")),
        "DONE": Script(cut(FOUND)),
        "TITLE": Script(cut("A title")),
    }
    write_reciting_model(folder, scripts)
    template = folder / "chat_template.jinja"
    text = template.read_text().replace("openings.get(messages[-1].content, '')", "openings[ns.script]")
    chosen = text.index("-%}", text.index("set openings")) + len("-%}")
    template.write_text(f"{text[:chosen]}{_CHOICE}{text[chosen:]}")
