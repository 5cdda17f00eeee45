"""How each agent is started: environment, flags and private files, as tables."""

import json
import tomllib
from pathlib import Path

import pytest

from mcp_local_llm.agents.claude_code import REMOVED, SETTINGS, SMALL_PROMPT, TOOLS
from mcp_local_llm.agents.codex import CATALOG
from mcp_local_llm.agents.launch import STARTS, child_environ
from mcp_local_llm.agents.order import AgentStart, Door, ModelFacts, Scene, UserServers, without_proxy
from mcp_local_llm.values.launch_order import AgentName, LaunchOrder

KEY = "a-long-random-text"
ADDRESS = "http://127.0.0.1:4321"
FOLDER = Path("/private")
NAME = "mlx-community/Qwen3-4B-4bit"
LOCAL = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
SERVERS = UserServers(own=("local-llm",), others={"github": {"command": "gh-mcp", "env": {"TOKEN": "t"}}})


def started(
    agent: AgentName,
    *,
    window: int | None = 65_536,
    small: bool = False,
    keep_mcp: bool = False,
    servers: UserServers = SERVERS,
) -> AgentStart:
    order = LaunchOrder(agent, small=small, keep_mcp=keep_mcp)
    model = ModelFacts(NAME, window, tools=True)
    return STARTS[agent](Scene(order, Door(ADDRESS, KEY), model, servers, FOLDER, without_proxy({})))


def value_after(flag: str, start: AgentStart) -> str:
    return start.flags[start.flags.index(flag) + 1]


@pytest.mark.parametrize(
    ("window", "output", "context"),
    [
        (4096, "512", None),
        (32_768, "4096", None),
        (39_999, "4999", None),
        (40_000, "5000", "40000"),
        (65_536, "8192", "65536"),
        (1_000_000, "8192", "1000000"),
        (None, "8192", None),
    ],
)
def test_claude_code_is_told_the_longest_answer_always_and_the_window_only_where_it_is_long(
    window: int | None, output: str, context: str | None
) -> None:
    environ = started("claude", window=window).environ
    assert environ["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == output
    assert environ.get("CLAUDE_CODE_MAX_CONTEXT_TOKENS") == context


def test_claude_code_s_every_request_goes_to_the_door_with_its_key_and_the_models_name() -> None:
    start = started("claude")
    assert start.environ["ANTHROPIC_BASE_URL"] == ADDRESS
    assert start.environ["ANTHROPIC_AUTH_TOKEN"] == KEY
    assert start.key == "ANTHROPIC_AUTH_TOKEN"
    assert {start.environ[f"ANTHROPIC_DEFAULT_{alias}_MODEL"] for alias in ("SONNET", "HAIKU")} == {NAME}
    # Where it is set, Claude Code rewrites a file of the user.
    assert "ANTHROPIC_DEFAULT_OPUS_MODEL" not in start.environ
    assert start.environ["CLAUDE_CODE_SUBAGENT_MODEL"] == NAME
    assert start.environ["CLAUDE_CODE_SUBAGENT_MODEL_FORCE"] == "1"
    assert start.flags[-2:] == ["--model", NAME]
    assert value_after("--permission-mode", start) == "manual"
    assert value_after("--tools", start) == TOOLS
    assert "--strict-mcp-config" in start.flags
    assert not any(KEY in flag for flag in start.flags)


def test_claude_code_s_settings_of_the_command_line_repeat_the_environment_and_empty_what_is_removed() -> None:
    start = started("claude")
    assert value_after("--settings", start) == str(FOLDER / SETTINGS)
    assert json.loads(start.files[SETTINGS]) == {"env": {**start.environ, **dict.fromkeys(REMOVED, "")}}


def test_no_flag_that_takes_several_words_stands_before_the_users_own() -> None:
    for keep_mcp in (False, True):
        flags = list(started("claude", keep_mcp=keep_mcp).flags)
        for flag in {"--tools", "--mcp-config"} & set(flags):
            assert flags[flags.index(flag) + 2].startswith("--")


def test_the_small_form_of_claude_code_has_a_prompt_of_its_own_and_no_thinking() -> None:
    small, usual = started("claude", small=True), started("claude")
    assert value_after("--system-prompt", small) == SMALL_PROMPT
    assert small.environ["CLAUDE_CODE_DISABLE_THINKING"] == "1"
    assert "--system-prompt" not in usual.flags
    assert "CLAUDE_CODE_DISABLE_THINKING" not in usual.environ


def test_claude_code_keeps_the_other_mcp_servers_only_where_that_is_asked_for() -> None:
    assert "--mcp-config" not in started("claude").flags
    assert "--mcp-config" not in started("claude", keep_mcp=True, servers=UserServers(own=("local-llm",))).flags
    kept = started("claude", keep_mcp=True)
    file = Path(value_after("--mcp-config", kept)).name
    assert json.loads(kept.files[file]) == {"mcpServers": SERVERS.others}


def codex_settings(start: AgentStart) -> dict[str, object]:
    """The values of `-c`, as Codex reads them: TOML."""
    words = [value for flag, value in zip(start.flags, start.flags[1:], strict=False) if flag == "-c"]
    split = [word.partition("=") for word in words]
    return {name: tomllib.loads(f"value = {value}")["value"] for name, _, value in split}


def test_codex_gets_a_provider_of_its_own_by_flags_alone() -> None:
    start = started("codex")
    settings = codex_settings(start)
    provider = settings["model_provider"]
    assert settings["model"] == NAME
    assert settings[f"model_providers.{provider}.base_url"] == f"{ADDRESS}/v1"
    assert settings[f"model_providers.{provider}.wire_api"] == "responses"
    assert start.environ == {settings[f"model_providers.{provider}.env_key"]: KEY, **LOCAL}
    assert settings["model_catalog_json"] == str(FOLDER / CATALOG)
    assert not any(KEY in flag for flag in start.flags)


@pytest.mark.parametrize(("window", "told"), [(32_768, 32_768), (None, None)])
def test_codex_s_catalogue_has_the_model_with_its_window(window: int | None, told: int | None) -> None:
    (entry,) = json.loads(started("codex", window=window).files[CATALOG])["models"]
    assert (entry["slug"], entry.get("context_window")) == (NAME, told)


@pytest.mark.parametrize(("keep_mcp", "off"), [(False, {"local-llm", "github"}), (True, {"local-llm"})])
def test_codex_and_opencode_switch_mcp_servers_off_by_name(keep_mcp: bool, off: set[str]) -> None:
    settings = codex_settings(started("codex", keep_mcp=keep_mcp))
    assert {name for name in settings if name.startswith("mcp_servers.")} == {
        f"mcp_servers.{one}.enabled" for one in off
    }
    config = json.loads(started("opencode", keep_mcp=keep_mcp).environ["OPENCODE_CONFIG_CONTENT"])
    assert config["mcp"] == {name: {"enabled": False} for name in off}


@pytest.mark.parametrize(
    ("window", "limit"), [(32_768, {"context": 32_768, "output": 4096}), (None, None)], ids=["known", "unknown"]
)
def test_opencode_gets_one_provider_and_the_models_limits(window: int | None, limit: dict[str, int] | None) -> None:
    start = started("opencode", window=window)
    config = json.loads(start.environ["OPENCODE_CONFIG_CONTENT"])
    (provider,) = config["enabled_providers"]
    assert config["model"] == config["small_model"] == f"{provider}/{NAME}"
    told = config["provider"][provider]
    assert told["options"] == {"baseURL": f"{ADDRESS}/v1", "apiKey": f"{{env:{start.key}}}"}
    assert told["models"][NAME].get("limit") == limit
    assert start.environ[start.key] == KEY
    assert not start.flags


@pytest.mark.parametrize("agent", STARTS)
def test_an_agent_s_environment_is_the_users_without_keys_and_addresses_of_other_servers(agent: AgentName) -> None:
    start = started(agent)
    secrets = dict.fromkeys(("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_BASE_URL", "OPENAI_BASE_URL"), "theirs")
    environ = child_environ(start, {"PATH": "/bin", "EDITOR": "vi", **secrets})
    assert (environ["PATH"], environ["EDITOR"]) == ("/bin", "vi")
    assert not any(environ.get(name) == "theirs" for name in start.removed)
    assert start.removed


@pytest.mark.parametrize(
    ("environ", "hosts"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"NO_PROXY": ""}, "127.0.0.1,localhost"),
        ({"NO_PROXY": "corp.example"}, "corp.example,127.0.0.1,localhost"),
        ({"no_proxy": "corp.example"}, "corp.example,127.0.0.1,localhost"),
    ],
)
def test_the_door_is_reached_without_the_users_proxy(environ: dict[str, str], hosts: str) -> None:
    assert without_proxy(environ) == {"NO_PROXY": hosts, "no_proxy": hosts}
    assert all(LOCAL.items() <= started(agent).environ.items() for agent in STARTS)
