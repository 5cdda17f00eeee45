"""Profiles: what their names mean, what they set, and that a call's own values win."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_local_llm.app import App
from mcp_local_llm.llm.llm import collect_result
from mcp_local_llm.models.profiles import apply_profile, profile_named, with_profile
from mcp_local_llm.models.resolve import Resolution
from mcp_local_llm.setup.settings_file import load_settings
from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams
from mcp_local_llm.values.endpoint import Endpoint
from mcp_local_llm.values.errors import ConfigError, UnknownModelError
from mcp_local_llm.values.model import ModelInfo, Serving, endpoint_model
from mcp_local_llm.values.profile import Profile
from tests.apps import opened
from tests.model_cache import write

GGUF = ModelInfo("org/coder-Q4", Path("/m/coder.gguf"), "folder", format="gguf")
MLX = ModelInfo("org/coder-4bit", Path("/m/coder"), "folder")
BOX = endpoint_model(Endpoint(name="box", url="http://10.0.0.1/v1"), "coder")
ASKED = ChatRequest((Message(role="user", content="Hello"),))

SETTINGS = """
[profiles.code]
model = "tiny"
temperature = 0.2
system = "Answer briefly."
thinking = false

[profiles.raw]
model = "tiny"
"""

REFUSED = {
    "no model": ("[profiles.a]\ntemperature = 1.0", "a profile names a model or an endpoint"),
    "an unknown key": (
        '[profiles.a]\nmodel = "m"\ntemp = 1.0',
        r"no setting 'temp'\. Did you mean 'temperature'\?",
    ),
    "a value out of range": ('[profiles.a]\nmodel = "m"\ntemperature = 3.0', r"profiles.a.temperature' is 3.0"),
    "a number as its name": ('[profiles.7]\nmodel = "m"', "profiles.7"),
    "an endpoint that is not there": ('[profiles.a]\nendpoint = "box"', "'box', which is not there"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_profile_that_cannot_be_is_refused(case: str, tmp_path: Path) -> None:
    lines, reason = REFUSED[case]
    write(tmp_path / "config.toml", lines)
    with pytest.raises(ConfigError, match=reason):
        load_settings(tmp_path / "config.toml", {})


def test_a_name_is_found_in_any_case_and_whole() -> None:
    profiles = {"Code": Profile(model="m"), "code6": Profile(model="m")}
    assert profile_named(" code ", profiles) == "Code"
    assert profile_named("'CODE6'", profiles) == "code6"
    assert profile_named("cod", profiles) is None


def test_what_names_its_model() -> None:
    assert Profile(model="32b").query == "32b"
    assert Profile(endpoint="box", model="org/m").query == "box/org/m"
    assert Profile(endpoint="box").query == "box"


def test_it_sets_up_the_server_of_a_gguf_model() -> None:
    found = with_profile(Resolution(GGUF), "code6", Profile(model="m", context=32768, slots=6), role=None)
    assert found.model.serving == Serving(32768, 6, "code6")
    assert found.choice == "code6"
    assert found.note == "The profile 'code6' stands for org/coder-Q4."


@pytest.mark.parametrize(
    ("model", "profile", "said"),
    [
        (MLX, Profile(model="m", slots=6), "Its slots has no effect: only llama-server has slots"),
        (BOX, Profile(model="m", slots=6, context=4096), "Its context and slots have no effect: box decides"),
    ],
)
def test_what_cannot_act_on_its_model_is_said(model: ModelInfo, profile: Profile, said: str) -> None:
    assert said in with_profile(Resolution(model), "p", profile, role=None).note


def test_a_role_of_the_same_name_is_hidden_and_that_is_said() -> None:
    found = with_profile(Resolution(MLX), "code", Profile(model="m"), role="org/other")
    assert "It hides the role of that name, which stands for org/other." in found.note


def test_a_model_set_up_otherwise_is_loaded_again_but_not_for_a_call_that_asks_for_nothing() -> None:
    small, large = replace(GGUF, serving=Serving(context=4096)), replace(GGUF, serving=Serving(context=32768))
    assert not small.serves(large)
    assert large.serves(large)
    assert large.serves(GGUF)
    assert replace(MLX, serving=small.serving).serves(replace(MLX, serving=large.serving))


def test_a_profile_fills_in_what_a_call_leaves_open() -> None:
    profile = Profile(model="m", temperature=0.2, top_p=0.9, system="Be brief.", thinking=True, max_thinking_tokens=64)
    filled = apply_profile(ASKED, profile)
    assert filled.sampling == SamplingParams(temperature=0.2, top_p=0.9)
    assert [message.content for message in filled.messages] == ["Be brief.", "Hello"]
    assert (filled.thinking, filled.max_thinking_tokens) == (True, 64)


def test_what_a_call_says_itself_wins() -> None:
    system = Message(role="system", content="Mine.")
    sampling = SamplingParams(temperature=1.0)
    asked = ChatRequest((system, *ASKED.messages), sampling=sampling, thinking=False)
    profile = Profile(model="m", temperature=0.2, system="Be brief.", thinking=True, max_thinking_tokens=64)
    assert apply_profile(asked, profile) == asked


def test_a_text_to_be_continued_gets_no_system_prompt() -> None:
    asked = ChatRequest((), prompt="Once upon")
    assert apply_profile(asked, Profile(model="m", system="Be brief.")).messages == ()


@pytest.fixture
async def app(environ: dict[str, str], home: Path) -> AsyncIterator[App]:
    write(home / ".config" / "mcp-local-llm" / "config.toml", SETTINGS)
    roles = {"models": {"raw": "org/other", "reason": "tiny"}}
    write(home / ".config" / "ai-stack" / "registry.json", json.dumps(roles))
    async with opened(environ, home) as composed:
        yield composed


async def test_a_chat_with_a_profile_is_asked_as_it_says(app: App) -> None:
    asked = ChatRequest(ASKED.messages, sampling=SamplingParams(temperature=0.0))
    plain = await collect_result(app.llm.chat(asked, lambda _: None, model="tiny"))
    result = await collect_result(app.llm.chat(asked, lambda _: None, model="code"))
    assert plain.reasoning
    assert not result.reasoning
    assert result.usage.prompt_tokens > plain.usage.prompt_tokens, "the system prompt"
    assert "The profile 'code' stands for tiny." in result.warnings


async def test_the_saved_choice_may_be_a_profile(app: App, environ: dict[str, str], home: Path) -> None:
    switch = await app.llm.set_model("CODE", lambda _: None)
    assert switch.model == "tiny"
    assert switch.notes[0] == "The profile 'code' stands for tiny."
    assert (home / ".config" / "mlx-mcp" / "active_model").read_text(encoding="utf-8").strip() == "code"
    asked = ChatRequest(ASKED.messages, sampling=SamplingParams(temperature=0.0))
    assert not (await collect_result(app.llm.chat(asked, lambda _: None))).reasoning
    table = await app.llm.list_models()
    assert table.chosen == "tiny"
    assert [(row.name, row.chosen) for row in table.profiles] == [("code", True), ("raw", False)]
    assert table.profiles[0].sets == "thinking false, temperature 0.2, a system prompt"


async def test_a_profile_comes_before_a_role_and_after_a_number(app: App) -> None:
    result = await collect_result(app.llm.chat(ASKED, lambda _: None, model="raw"))
    assert result.model == "tiny"
    assert any("It hides the role of that name, which stands for org/other." in one for one in result.warnings)
    with pytest.raises(UnknownModelError, match="no number 9"):
        await app.llm.set_model("9", lambda _: None)


async def test_profiles_are_offered_while_a_name_is_typed(app: App) -> None:
    assert (await app.llm.complete("co"))[0] == "code"
