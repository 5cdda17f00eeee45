"""Naming a model through the door: completions while it is typed, a question where a name means several."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestFormParams, ElicitRequestParams, ElicitResult, PromptReference, TextContent

from mcp_local_llm.doors.mcp import build_server
from tests.apps import opened
from tests.clients import WAIT_S
from tests.loopback_hub import LoopbackHub, running
from tests.model_cache import TINY, place_tiny

SWITCH = PromptReference(type="ref/prompt", name="switch-model")


Action = Literal["accept", "decline", "cancel"]


class User:
    """Answers every question the same way, and remembers what was asked."""

    def __init__(self, action: Action, answer: str = "") -> None:
        self.action: Action = action
        self.answer = answer
        self.asked: list[ElicitRequestFormParams] = []

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        self.asked.append(params)
        content: dict[str, str | int | float | bool | list[str] | None] | None = None
        if self.action == "accept":
            content = {"model": self.answer}
        return ElicitResult(action=self.action, content=content)


@pytest.fixture
def models(home: Path) -> Path:
    """A cache with two models whose names share a word."""
    cache = home / ".cache" / "huggingface" / "hub"
    for name in ("acme/alpha-tiny", "acme/beta-tiny"):
        place_tiny(cache, name)
    return cache


@asynccontextmanager
async def client_of(environ: dict[str, str], era: str, user: User | None) -> AsyncGenerator[Client]:
    async with opened(environ, Path(environ["HOME"])) as app:
        server = build_server(app.llm, app.delegation)
        async with Client(server, mode=era, read_timeout_seconds=WAIT_S, elicitation_callback=user) as client:
            yield client


async def switch(client: Client, name: str) -> tuple[bool, str]:
    result = await client.call_tool("set_model", {"name": name})
    (block,) = result.content
    assert isinstance(block, TextContent)
    return bool(result.is_error), block.text


@pytest.mark.usefixtures("models")
async def test_an_ambiguous_name_asks_the_user_once_and_loads_the_answer(environ: dict[str, str], era: str) -> None:
    user = User("accept", "acme/beta-tiny")
    async with client_of(environ, era, user) as client:
        failed, text = await switch(client, "acme")
    assert (failed, text.partition(" ")[0]) == (False, "acme/beta-tiny")
    (question,) = user.asked
    assert question.message == "'acme' means 2 models. Which one?"
    assert question.requested_schema["properties"]["model"]["enum"] == ["acme/alpha-tiny", "acme/beta-tiny"]


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_user_who_does_not_choose_gets_the_numbered_candidates(
    environ: dict[str, str], era: str, action: Action
) -> None:
    async with client_of(environ, era, User(action)) as client:
        failed, text = await switch(client, "acme")
    assert failed
    assert "'acme' means 2 models" in text
    assert "1. acme/alpha-tiny" in text


@pytest.mark.usefixtures("models")
async def test_a_client_that_shows_no_questions_gets_the_numbered_candidates(environ: dict[str, str], era: str) -> None:
    async with client_of(environ, era, None) as client:
        failed, text = await switch(client, "acme")
        assert failed
        assert "2. acme/beta-tiny" in text
        assert (await switch(client, "beta"))[0] is False


@pytest.mark.usefixtures("models")
async def test_a_clear_name_or_an_unknown_one_asks_nothing(environ: dict[str, str], era: str) -> None:
    user = User("accept", "acme/beta-tiny")
    async with client_of(environ, era, user) as client:
        assert (await switch(client, "alpha"))[0] is False
        assert (await switch(client, "gamma"))[0] is True
    assert user.asked == []


@pytest.mark.usefixtures("models")
async def test_an_answer_that_is_no_candidate_is_refused(environ: dict[str, str], era: str) -> None:
    async with client_of(environ, era, User("accept", "acme/gamma")) as client:
        failed, text = await switch(client, "acme")
    assert failed
    assert "acme/gamma" in text


@pytest.mark.usefixtures("models")
async def test_the_prompts_argument_completes_to_models_and_roles(
    door: Callable[[], AbstractAsyncContextManager[Client]],
) -> None:
    async with door() as client:
        every = (await client.complete(SWITCH, {"name": "name", "value": ""})).completion
        assert {"acme/alpha-tiny", "acme/beta-tiny", "coding", "default"} <= set(every.values)
        assert (every.total, every.has_more) == (len(every.values), False)
        typed = (await client.complete(SWITCH, {"name": "name", "value": "BETA"})).completion
        assert typed.values == ["acme/beta-tiny"]
        begun = (await client.complete(SWITCH, {"name": "name", "value": "a"})).completion
        assert begun.values[:2] == ["acme/alpha-tiny", "acme/beta-tiny"]
        assert (await client.complete(SWITCH, {"name": "other", "value": ""})).completion.values == []


async def test_a_download_through_the_door_tells_bytes_and_loads_the_model(environ: dict[str, str], era: str) -> None:
    told: list[str] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        told.append(message or "")

    files = {path.name: path.read_bytes() for path in TINY.iterdir() if path.is_file()}
    with running(LoopbackHub({"acme/tiny-4bit": files})) as hub:
        reach = {**environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.endpoint}
        async with client_of(reach, era, None) as client:
            arguments = {"name": "acme/tiny-4bit", "download": True}
            result = await client.call_tool("set_model", arguments, progress_callback=listen)
    assert not result.is_error
    assert result.structured_content
    assert result.structured_content["model"] == "acme/tiny-4bit"
    assert any("were downloaded" in note for note in result.structured_content["notes"])
    assert any(words.startswith("downloading") for words in told)
