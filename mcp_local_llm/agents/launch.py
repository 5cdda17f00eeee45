"""Starts an agent: facts of the model, the judgement, the door, the agent's process. It must not know doors or engines.

The door is handed in as a function that opens it, because doors stand on the same floor as this room.
"""

import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.agents.child import run_agent
from mcp_local_llm.agents.claude_code import claude_start
from mcp_local_llm.agents.claude_settings import require_unmanaged
from mcp_local_llm.agents.codex import codex_start
from mcp_local_llm.agents.facts import listed_facts, loaded_facts
from mcp_local_llm.agents.forms import AGENTS, form_of
from mcp_local_llm.agents.instructions import instructions
from mcp_local_llm.agents.opencode import opencode_start
from mcp_local_llm.agents.order import AgentStart, Door, ModelFacts, Scene, UserServers, without_proxy
from mcp_local_llm.agents.programs import find_agent
from mcp_local_llm.agents.screen import log_held_back
from mcp_local_llm.agents.suitability import judge
from mcp_local_llm.agents.user_servers import user_servers
from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.setup.replaced_file import replace_file
from mcp_local_llm.values.errors import ConfigError, ContextLengthError, InvalidRequestError
from mcp_local_llm.values.launch_order import AgentName, LaunchOrder
from mcp_local_llm.values.progress import ReportProgress

STARTS: Mapping[AgentName, Callable[[Scene], AgentStart]] = {
    "claude": claude_start,
    "codex": codex_start,
    "opencode": opencode_start,
}

OpenDoor = Callable[[str], AbstractAsyncContextManager[str]]
"""Opens the HTTP door on a free port of the loopback, for requests with the key that is given; yields its address."""


@dataclass(frozen=True)
class Surroundings:
    """Where the agent is started: environment, home folder and working folder, and how the user is told things.

    Attributes:
        say: takes a sentence for the user.
        report: takes the progress of a load.
    """

    environ: Mapping[str, str]
    home: Path
    folder: Path
    say: Callable[[str], None]
    report: ReportProgress


@dataclass(frozen=True)
class Readiness:
    """What was found before a start: the agent's program, the model, the user's MCP servers."""

    program: Path
    model: ModelFacts
    servers: UserServers


async def launch(llm: LLM, order: LaunchOrder, around: Surroundings, open_door: OpenDoor) -> int:
    """Load the model, start the agent with every request answered by the door, and wait for its end.

    Returns:
        The agent's exit code.

    Raises:
        ConfigError: the agent's program is not here, or cannot be started.
        InvalidRequestError: the agent has no small form.
        ContextLengthError: the window is too short for the agent, and `order.force` is not set.
        LocalLLMError: the model cannot be loaded.
    """
    ready = await prepare(llm, order, around)
    key = secrets.token_urlsafe(32)
    with tempfile.TemporaryDirectory(prefix="mcp-local-llm-") as private:
        async with open_door(key) as address:
            start = started(order, Door(address, key), ready, around, Path(private))
            return await run_started(start, ready.program, order.arguments, around.environ, Path(private))


def started(order: LaunchOrder, door: Door, ready: Readiness, around: Surroundings, folder: Path) -> AgentStart:
    """Return how the agent is started with its private files in `folder`."""
    scene = Scene(order, door, ready.model, ready.servers, folder, without_proxy(around.environ))
    return STARTS[order.agent](scene)


async def prepare(llm: LLM, order: LaunchOrder, around: Surroundings, *, load: bool = True) -> Readiness:
    """Find the program, the facts and the servers; tell the user, and refuse what cannot work. Raises as `launch`.

    Args:
        llm: knows the model.
        order: what to start.
        around: where, and who is told.
        load: load the model; False takes what its files show, where its name is clear.
    """
    program, form = find_agent(order.agent, around.environ, around.home), form_of(order.agent, small=order.small)
    if form is None:
        raise InvalidRequestError(f"{AGENTS[order.agent]} has one form only. Leave --small out.")
    if order.agent == "claude":
        require_unmanaged()
    told = instructions(order.agent, around.environ, around.home, around.folder)
    listed = None if load else await listed_facts(llm, order.model, told)
    model = listed or await loaded_facts(llm, order.model, told, around.report)
    suited = judge(form, model)
    for line in suited.lines:
        around.say(line)
    if suited.refusal and not order.force:
        raise ContextLengthError(suited.refusal)
    servers = user_servers(order.agent, around.environ, around.home, around.folder)
    for sentence in told_servers(order, servers):
        around.say(sentence)
    return Readiness(program, model, servers)


def told_servers(order: LaunchOrder, servers: UserServers) -> list[str]:
    """Return the sentences about MCP servers that are left out."""
    told: list[str] = []
    if left_out := servers.left_out(keep=order.keep_mcp):
        keep = " --keep-mcp keeps those of others." if servers.others and not order.keep_mcp else ""
        told.append(f"MCP servers of your settings are left out: {', '.join(left_out)}.{keep}")
    if order.keep_mcp and servers.unapproved:
        names = ", ".join(servers.unapproved)
        told.append(f"The project's MCP servers that you have not approved yet stay out: {names}.")
    return told


async def run_started(
    start: AgentStart, program: Path, arguments: Sequence[str], environ: Mapping[str, str], folder: Path
) -> int:
    """Write the files of a start into its private folder, run the agent and return its exit code.

    Raises:
        ConfigError: a file cannot be written, or the program cannot be started.
    """
    write_files(start, folder)
    with log_held_back():
        return await run_agent([str(program), *start.flags, *arguments], child_environ(start, environ))


def child_environ(start: AgentStart, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of the agent."""
    kept = {name: value for name, value in environ.items() if name not in start.removed}
    return {**kept, **start.environ}


def write_files(start: AgentStart, folder: Path) -> None:
    """Write the files of a start, which hold keys, for this user alone; make the folder.

    Raises:
        ConfigError: one cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, text in start.files.items():
            replace_file(folder / name, text.encode(), durable=False)
    except OSError as error:
        raise ConfigError(f"The files of the agent cannot be written to {folder}: {error.strerror}.") from error
