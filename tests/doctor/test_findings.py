"""The check-up's judgement: facts in, findings out."""

from dataclasses import replace
from pathlib import Path

import pytest

from mcp_local_llm.doctor import Setup, check_facts, has_problems
from mcp_local_llm.doctor.read import names_this_server
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.setup.settings_file import load_settings
from mcp_local_llm.values.endpoint import DetectedServer
from mcp_local_llm.values.machine import Machine, Memory
from mcp_local_llm.values.model import ModelInfo
from tests.doctor.cases import BOX, CASES
from tests.doctor.facts import CONFIG, INSTALLATION, SOUND, TINY, installation, told


@pytest.mark.parametrize("name", CASES)
def test_each_fact_is_told_with_its_verdict_and_what_to_do(name: str) -> None:
    facts, about, verdict, words = CASES[name]
    fitting = [finding for finding in told(facts, about) if finding.verdict == verdict]
    texts = [f"{finding.text}\n{finding.advice}" for finding in fitting]
    assert any(all(word in text for word in words) for text in texts), told(facts, about)


def test_a_sound_machine_needs_nobody() -> None:
    assert not has_problems(check_facts(SOUND))
    assert has_problems(check_facts(installation(models=(TINY,))))


def test_every_problem_says_what_to_do() -> None:
    problems = [
        finding for facts, *_ in CASES.values() for finding in check_facts(facts) if finding.verdict == "problem"
    ]
    assert problems
    assert [finding for finding in problems if not finding.advice] == []


RECOMMENDED: dict[str, tuple[Machine, list[str]]] = {
    "Mac with 16 GB": (
        Machine("Darwin", "Apple M2", 8, Memory(16 * 2**30, 2**30, 16 * 2**30 * 2 // 3), 100e9),
        ["Qwen2.5-Coder-7B-Instruct-4bit", "Qwen2.5-Coder-14B-Instruct-4bit", "", "", "Qwen3-4B-8bit"],
    ),
    "Mac with 32 GB": (
        INSTALLATION.machine,
        [
            "Qwen2.5-Coder-7B-Instruct-4bit",
            "Qwen3-Coder-30B-A3B-Instruct-4bit",
            "Qwen2.5-Coder-32B-Instruct-4bit",
            "",
            "Qwen3-30B-A3B-4bit",
        ],
    ),
    "Mac with 64 GB": (
        Machine("Darwin", "Apple M4 Max", 16, Memory(64 * 2**30, 2**30, 48 * 2**30), 546e9),
        [
            "Qwen2.5-Coder-7B-Instruct-4bit",
            "Qwen3-Coder-30B-A3B-Instruct-4bit",
            "Qwen2.5-Coder-32B-Instruct-4bit",
            "Qwen2.5-Coder-32B-Instruct-8bit",
            "Qwen3-30B-A3B-4bit",
        ],
    ),
    "4 GB": (Machine("Linux", "unknown", 2, Memory(4 * 2**30, 2**30)), ["", "", "", "", ""]),
}


@pytest.mark.parametrize("name", RECOMMENDED)
def test_the_first_model_of_the_guide_that_fits_is_recommended_for_each_work(name: str) -> None:
    machine, expected = RECOMMENDED[name]
    findings = [one for one in check_facts(installation(machine=machine)) if one.name.startswith("for ")]
    assert [one.name for one in findings] == [
        "for quick edits",
        "for everyday coding",
        "for refactoring and review",
        "for best quality",
        "for hard questions",
    ]
    named = [one.text.partition(":")[0] if one.verdict == "ok" else "" for one in findings]
    assert named == expected


def test_a_recommendation_says_its_size_that_it_is_an_estimate_and_whether_the_model_is_here() -> None:
    model = ModelInfo("mlx-community/Qwen2.5-Coder-7B-Instruct-4bit", Path("q"), "huggingface")
    (edits,) = told(installation(models=(model,)), "for quick edits")
    assert edits.text == (
        "Qwen2.5-Coder-7B-Instruct-4bit, which is here: about 5.8 GB of 22.9 GB, ~74 tok/s (instant), estimated"
    )
    assert edits.advice == ""
    (absent,) = told(SOUND, "for quick edits")
    assert absent.advice == "`mcp-local-llm pull mlx-community/Qwen2.5-Coder-7B-Instruct-4bit` fetches it."


def test_settings_are_told_with_their_origin_and_secrets_are_not() -> None:
    secret = "sk-very-secret"
    settings = Settings.model_validate(
        {
            "model": "32b",
            "idle_minutes": 5,
            "share": False,
            "api_key": secret,
            "endpoints": [BOX],
            "profiles": {"code": {"model": "32b", "system": "be brief"}},
        }
    )
    environ = {
        "MCP_LOCAL_LLM_IDLE_MINUTES": "5",
        "MCP_LOCAL_LLM_API_KEY": secret,
        "HF_TOKEN": secret,
    }
    exposed = f"run `chmod 600 {CONFIG}`"
    settings = settings.warned((exposed,))
    setup = Setup(CONFIG, settings, file_mode=0o644, environ=environ)
    facts = replace(SOUND, setup=setup)
    (values, warning) = told(facts, "settings")
    for part in (
        "model = 32b (config.toml)",
        "idle_minutes = 5.0 (MCP_LOCAL_LLM_IDLE_MINUTES)",
        "share = false (config.toml)",
        "api_key = set, not shown (MCP_LOCAL_LLM_API_KEY)",
        "endpoints = box (config.toml)",
        "profiles = code (config.toml)",
    ):
        assert part in values.text.split("; "), values.text
    assert (warning.verdict, warning.text) == ("note", exposed)
    assert not any(secret in f"{finding.text}{finding.advice}" for finding in check_facts(facts))


def test_a_setting_under_its_old_name_is_a_note(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[[launch]]\nname = "two"\nmodel = "org/big"\nhosts = ["10.0.0.1", "10.0.0.2"]\n')
    setup = Setup(file, load_settings(file, {}), file_mode=0o600)
    values, old = told(replace(SOUND, setup=setup), "settings")
    assert f"cluster = two ({file.name})" in values.text
    assert (old.verdict, "[[launch]] is called [[cluster]] now" in old.text) == ("note", True)


def test_two_servers_of_one_kind_get_two_names() -> None:
    facts = replace(SOUND, servers=(DetectedServer(8080, "llama-server"), DetectedServer(8081, "llama-server")))
    first, second = told(facts, "server")
    assert 'name = "llama-server"\n' in first.advice
    assert 'name = "llama-server-8081"\n' in second.advice


def test_proposed_lines_are_settings_as_they_stand(tmp_path: Path) -> None:
    seen = (
        DetectedServer(8080, "llama-server"),
        DetectedServer(8000, None, locked=True),
        DetectedServer(11434, "ollama", ("m",)),
    )
    lines = [finding.advice.partition("\n")[2] for finding in told(replace(SOUND, servers=seen), "server")]
    file = tmp_path / "config.toml"
    file.write_text("\n".join(lines))
    endpoints = load_settings(file, {}).endpoints
    assert [(one.name, one.url, one.flavor, one.api_key_env) for one in endpoints] == [
        ("llama-server", "http://127.0.0.1:8080/v1", "llama-server", None),
        ("local", "http://127.0.0.1:8000/v1", "openai", "LOCAL_KEY"),
        ("ollama", "http://127.0.0.1:11434/v1", "ollama", None),
    ]


OURS = {"mcpServers": {"x": {"command": "mcp-local-llm"}}}
CLAUDE: list[tuple[object, bool]] = [
    (OURS, True),
    ({"mcpServers": {"x": {"command": "uvx", "args": ["mcp-local-llm"]}}}, True),
    ({"mcpServers": {"x": {"command": "python", "args": ["-m", "mcp_local_llm"]}}}, True),
    ({"projects": {"/here": OURS}}, True),
    ({"projects": {"/there": OURS}}, False),
    ({"mcpServers": {"local-llm": {"command": "other"}}}, False),
    ({"mcpServers": {"x": {"url": "http://mcp-local-llm"}}}, False),
    ({"mcpServers": ["mcp-local-llm"]}, False),
    ("mcp-local-llm", False),
    (None, False),
]


@pytest.mark.parametrize(("value", "known"), CLAUDE)
def test_claude_codes_settings_know_this_server_by_its_command(value: object, known: bool) -> None:
    assert names_this_server(value, "/here") == known
