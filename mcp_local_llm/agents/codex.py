"""The environment, flags and files that make Codex use the door. Pure: nothing is read or written here."""

import json
from typing import Any

from mcp_local_llm.agents.order import AgentStart, ModelFacts, Scene

PROVIDER = "mcp-local-llm"
"""Codex's name for the door; one that no user has in a configuration file, whose values would be merged in."""

KEY_VARIABLE = "MCP_LOCAL_LLM_AGENT_KEY"

REMOVED = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "CODEX_API_KEY", "CODEX_ACCESS_TOKEN")

FEATURES_OFF = ("multi_agent", "goals", "apps", "plugins")
"""Their tools make the first request four times as long."""

CATALOG = "codex-models.json"

INSTRUCTIONS = (
    "You are a coding agent on the user's machine. Use the shell tool to read and change files and to run programs; "
    "read before you change, change no more than the task needs, and check the result. Answer in a few sentences."
)
"""Instead of Codex's own 17 kB of instructions."""


def codex_start(scene: Scene) -> AgentStart:
    """Return how Codex is started with every request answered by the door."""
    provider = f"model_providers.{PROVIDER}"
    values: dict[str, object] = {
        "model_provider": PROVIDER,
        "model": scene.model.name,
        f"{provider}.name": "mcp-local-llm",
        f"{provider}.base_url": f"{scene.door.address}/v1",
        f"{provider}.wire_api": "responses",
        f"{provider}.env_key": KEY_VARIABLE,
        "model_catalog_json": str(scene.folder / CATALOG),
        "web_search": "disabled",
        "check_for_update_on_startup": False,
        "analytics.enabled": False,
    }
    left_out = scene.servers.left_out(keep=scene.order.keep_mcp)
    values |= {f"mcp_servers.{name}.enabled": False for name in left_out}
    # A JSON text or boolean is TOML as well.
    flags = [
        word for name, value in values.items() for word in ("-c", f"{name}={json.dumps(value, ensure_ascii=False)}")
    ]
    flags += [word for feature in FEATURES_OFF for word in ("--disable", feature)]
    files = {CATALOG: json.dumps({"models": [catalog_entry(scene.model)]}, indent=1)}
    return AgentStart(flags, {KEY_VARIABLE: scene.door.key, **scene.without_proxy}, REMOVED, KEY_VARIABLE, files)


def catalog_entry(model: ModelFacts) -> dict[str, Any]:
    """Return Codex's description of a model; without one it warns, and sends instructions of its own."""
    window = {} if model.window is None else {"context_window": model.window}
    return {
        "slug": model.name,
        "display_name": model.name,
        **window,
        "base_instructions": INSTRUCTIONS,
        "shell_type": "default",
        "visibility": "list",
        "supported_in_api": True,
        "priority": 0,
        "truncation_policy": {"mode": "tokens", "limit": max(model.output, 1)},
        "input_modalities": ["text"],
        "support_verbosity": False,
        "default_verbosity": "low",
        "supports_parallel_tool_calls": True,
        "supports_reasoning_summaries": False,
        "supported_reasoning_levels": [],
        "experimental_supported_tools": [],
    }
