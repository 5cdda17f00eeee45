"""The environment that makes opencode use the door. Pure: nothing is read or written here."""

import json
from typing import Any

from mcp_local_llm.agents.order import AgentStart, Scene

PROVIDER = "mcp-local-llm"

CONFIG_VARIABLE = "OPENCODE_CONFIG_CONTENT"

KEY_VARIABLE = "MCP_LOCAL_LLM_AGENT_KEY"

REMOVED = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")
"""Keys by which opencode finds other providers."""

OFF = ("OPENCODE_DISABLE_AUTOUPDATE", "OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_LSP_DOWNLOAD")


def opencode_start(scene: Scene) -> AgentStart:
    """Return how opencode is started with every request answered by the door."""
    model = scene.model
    name = f"{PROVIDER}/{model.name}"
    limit = {} if model.window is None else {"limit": {"context": model.window, "output": model.output}}
    provider: dict[str, Any] = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "mcp-local-llm",
        "options": {"baseURL": f"{scene.door.address}/v1", "apiKey": f"{{env:{KEY_VARIABLE}}}"},
        "models": {model.name: {"name": model.name, "tool_call": True, **limit}},
    }
    left_out = scene.servers.left_out(keep=scene.order.keep_mcp)
    config = {
        "autoupdate": False,
        "share": "disabled",
        "model": name,
        "small_model": name,
        "enabled_providers": [PROVIDER],
        "provider": {PROVIDER: provider},
        "mcp": {server: {"enabled": False} for server in left_out},
    }
    environ = {
        CONFIG_VARIABLE: json.dumps(config, ensure_ascii=False),
        KEY_VARIABLE: scene.door.key,
        **scene.without_proxy,
        **dict.fromkeys(OFF, "1"),
    }
    return AgentStart((), environ, REMOVED, KEY_VARIABLE)
