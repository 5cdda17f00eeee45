"""The start of an agent as two shell commands: one that serves the model, one that starts the agent.

The key and the agent's private files are in the state folder, readable for this user alone, so that the commands hold
no key. They stay there for later, and the next `--print` writes them anew.
"""

import secrets
import shlex
import socket
from collections.abc import Sequence
from dataclasses import replace

from mcp_local_llm.agents.launch import Readiness, Surroundings, prepare, started, write_files
from mcp_local_llm.agents.order import AgentStart, Door
from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.setup.places import state_folder
from mcp_local_llm.values.launch_order import LaunchOrder

KEY_FILE = "key"
HOST = "127.0.0.1"
SERVE_KEY, SERVE_ANY = "MCP_LOCAL_LLM_API_KEY", "MCP_LOCAL_LLM_SERVE_ANY_MODEL"
"""The settings `api_key` and `serve_any_model` as variables."""


async def printed(llm: LLM, order: LaunchOrder, around: Surroundings, program: Sequence[str]) -> str:
    """Return the two commands, a line each, and write the files that they name. Raises as `launch.launch`.

    Args:
        llm: tells the facts of the model.
        order: what to start.
        around: where, and who is told.
        program: the words that start this program.
    """
    ready = await prepare(llm, order, around, load=False)
    folder = state_folder(around.environ, around.home) / "launch"
    key, port = secrets.token_urlsafe(32), _free_port()
    start = started(order, Door(f"http://{HOST}:{port}", key), ready, around, folder)
    write_files(replace(start, files={**start.files, KEY_FILE: key}), folder)
    from_file = f'"$(cat {shlex.quote(str(folder / KEY_FILE))})"'
    serve = [*program, "serve", "--host", HOST, "--port", str(port), "--model", ready.model.name]
    agent = _agent_command(ready, start, order, from_file)
    return f"{SERVE_KEY}={from_file} {SERVE_ANY}=true {shlex.join(serve)}\n{agent}\n"


def _agent_command(ready: Readiness, start: AgentStart, order: LaunchOrder, from_file: str) -> str:
    removed = [word for name in start.removed for word in ("-u", name)]
    variables = [
        f"{name}={from_file}" if name == start.key else f"{name}={shlex.quote(value)}"
        for name, value in start.environ.items()
    ]
    agent = shlex.join([str(ready.program), *start.flags, *order.arguments])
    return " ".join([shlex.join(["env", *removed]), *variables, agent])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
