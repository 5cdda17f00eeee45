"""The environment, flags and files that make Claude Code use the door. Pure: nothing is read or written here."""

import json
from collections.abc import Mapping
from typing import Any

from mcp_local_llm.agents.claude_settings import OTHER_WAYS
from mcp_local_llm.agents.order import LEAST_TOLD_WINDOW, AgentStart, ModelFacts, Scene

TOOLS = "Read,Grep,Glob,Edit,Write,Bash"
"""The built-in tools that a small model is offered; the default has twelve, in 49 kB instead of 21."""

SMALL_PROMPT = (
    "You are a coding agent on the user's machine. Do what the user asks with the tools: read before you change, "
    "change no more than the task needs, and check the result. Paths are absolute. Answer in a few sentences."
)
"""Instead of Claude Code's own system prompt, where the first request must be small."""

QUIET: Mapping[str, str] = {
    # The header of a request that names the version would differ in each session, so no prefix could be used again.
    "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    # Without streaming a slow model would be asked for the same answer twice.
    "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
    "ENABLE_TOOL_SEARCH": "0",
    "CLAUDE_CODE_SUBAGENT_MODEL_FORCE": "1",
}

REMOVED = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_BETAS",
    "CLAUDE_CODE_OAUTH_TOKEN",
    *OTHER_WAYS,
)
"""Logins, and switches that would send the requests elsewhere."""

MODEL_VARIABLES = ("ANTHROPIC_DEFAULT_SONNET_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL")
"""Not ANTHROPIC_DEFAULT_OPUS_MODEL: where it is set, Claude Code 2.1.332 rewrites `"model": "opus"` in the user's
settings to `opus[1m]`. The door answers the name that `opus` then stands for."""

SETTINGS, SERVERS = "claude-settings.json", "mcp-servers.json"


def claude_start(scene: Scene) -> AgentStart:
    """Return how Claude Code is started with every request answered by the door."""
    small, model = scene.order.small, scene.model
    environ = {
        "ANTHROPIC_BASE_URL": scene.door.address,
        "ANTHROPIC_AUTH_TOKEN": scene.door.key,
        **scene.without_proxy,
        **QUIET,
        **limits(model),
        **dict.fromkeys(MODEL_VARIABLES, model.name),
        **({"CLAUDE_CODE_DISABLE_THINKING": "1"} if small else {}),
    }
    # `env` in a settings file of the user wins over the environment, but not over the settings of the command line.
    own: dict[str, Any] = {"env": {**environ, **dict.fromkeys(REMOVED, "")}}
    files = {SETTINGS: json.dumps(own, indent=1)}
    # --tools and --mcp-config take every word up to the next flag, so a flag with one word stands behind them.
    flags = ["--tools", TOOLS, "--strict-mcp-config"]
    if scene.order.keep_mcp and scene.servers.others:
        files[SERVERS] = json.dumps({"mcpServers": dict(scene.servers.others)}, indent=1)
        flags += ["--mcp-config", str(scene.folder / SERVERS)]
    flags += ["--settings", str(scene.folder / SETTINGS), "--permission-mode", "manual"]
    flags += ["--system-prompt", SMALL_PROMPT] if small else []
    flags += ["--model", model.name]
    return AgentStart(flags, environ, REMOVED, "ANTHROPIC_AUTH_TOKEN", files)


def limits(model: ModelFacts) -> Mapping[str, str]:
    """Return the variables that tell the limits of the model."""
    told = {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(model.output)}
    if model.window is not None and model.window >= LEAST_TOLD_WINDOW:
        told["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] = str(model.window)
    return told
