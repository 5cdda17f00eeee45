"""Starts Claude Code with the user's own model and login, and answers the subagents that name the local model here.

The model is in a process of its own, and so is the forwarder: whatever happens to the model, the main conversation
goes on. It must not know doors or engines.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from mcp_local_llm.agents.claude_settings import BASE_URL, claude_environ
from mcp_local_llm.agents.facts import listed_facts
from mcp_local_llm.agents.forwarder.addresses import address_of
from mcp_local_llm.agents.forwarder.launched import forwarder, new_key
from mcp_local_llm.agents.forwarder.order import API, ForwarderOrder
from mcp_local_llm.agents.launch import Surroundings, run_started
from mcp_local_llm.agents.local_server import local_server
from mcp_local_llm.agents.order import AgentStart, without_proxy
from mcp_local_llm.agents.programs import find_agent
from mcp_local_llm.agents.subagents import SUBAGENT_MODEL, local_agents, plugin_has_agents
from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.values.errors import ConfigError, InvalidRequestError
from mcp_local_llm.values.launch_order import LaunchOrder

SETTINGS = "claude-settings.json"

FIRST_PARTY = "_CLAUDE_CODE_ASSUME_FIRST_PARTY_BASE_URL"
"""Claude Code leaves out features where its requests do not go to Anthropic; by way of the forwarder they still do."""


async def launch_beside(llm: LLM, order: LaunchOrder, around: Surroundings, program: Sequence[str]) -> int:
    """Start Claude Code, with local subagents; return its exit code.

    Args:
        llm: tells which model is meant.
        order: what to start.
        around: where, and who is told.
        program: the words that start this program.

    Raises:
        InvalidRequestError: an option does not go with local subagents, or the agent has none.
        ConfigError: Claude Code is not here, its requests cannot be forwarded, or a process cannot start.
    """
    _check(order)
    agent = find_agent(order.agent, around.environ, around.home)
    theirs = claude_environ(around.environ, around.home, around.folder)
    upstream = theirs.get(BASE_URL) or API
    facts = await listed_facts(llm, order.model)
    names = {SUBAGENT_MODEL, *(name for name in (order.model, facts and facts.name) if name)}
    door_key = new_key()
    async with local_server(program, order.model, door_key, around.environ) as server:
        orders = _forwarding(names, upstream, server.address, door_key)
        async with forwarder(orders, theirs) as url:
            model = facts.name if facts else order.model or "the chosen model"
            around.say(f"agent files with `model: {SUBAGENT_MODEL}` are answered by {model}, loaded when first needed.")
            installed = await plugin_has_agents(agent, order.arguments, around.environ, around.folder)
            with tempfile.TemporaryDirectory(prefix="mcp-local-llm-") as private:
                agents = () if installed else ("--agents", local_agents())
                settings = ("--settings", str(Path(private) / SETTINGS))
                start = beside_start(url, upstream, theirs, (*agents, *settings))
                code = await run_started(start, agent, order.arguments, around.environ, Path(private))
        if server.failure is not None:
            around.say(f"the local model was gone before Claude Code ended: {server.failure}")
        return code


def beside_start(url: str, upstream: str, environ: Mapping[str, str], flags: Sequence[str]) -> AgentStart:
    """Return what makes Claude Code send its requests to the forwarder at `url`; its own settings stay."""
    variables = {BASE_URL: url, **without_proxy(environ)}
    if address_of(upstream).host == address_of(API).host:
        variables[FIRST_PARTY] = "1"
    # `env` in a settings file of the user wins over the environment, but not over the settings of the command line.
    return AgentStart(flags, variables, (), BASE_URL, {SETTINGS: json.dumps({"env": variables}, indent=1)})


def _check(order: LaunchOrder) -> None:
    if order.agent != "claude":
        raise InvalidRequestError(
            f"--subagents-local is for claude; {order.agent} has no agent files that name a model."
        )
    wrong = [name for name, given in (("--small", order.small), ("--keep-mcp", order.keep_mcp)) if given]
    if wrong:
        raise InvalidRequestError(
            f"{' and '.join(wrong)} cannot be used with --subagents-local: the main conversation stays as it is, with "
            "all your tools and MCP servers."
        )


def _forwarding(names: set[str], upstream: str, door: str, door_key: str) -> ForwarderOrder:
    try:
        return ForwarderOrder(key=new_key(), models=frozenset(names), upstream=upstream, door=door, door_key=door_key)
    except ValidationError as error:
        reasons = "; ".join(one["msg"].removeprefix("Value error, ") for one in error.errors())
        raise ConfigError(f"{BASE_URL} cannot be used: {reasons}.") from error
