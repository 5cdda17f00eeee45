"""Switching end to end, with the real engine: what runs, what waits, and what stays when a load fails."""

import json
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from mcp_local_llm.app import App
from mcp_local_llm.llm.llm import collect_result
from mcp_local_llm.values.chat import ChatRequest, ChatResult, Message, SamplingParams
from mcp_local_llm.values.errors import InsufficientMemoryError, ModelLoadError
from mcp_local_llm.values.progress import Progress, ReportProgress
from mcp_local_llm.values.results import Switch
from tests.clients import WAIT_S
from tests.model_cache import QWEN_32B, TINY, Packing, model_files, place_in_hub, place_tiny

ALPHA, BETA = "acme/alpha-tiny", "acme/beta-tiny"
HELLO = ChatRequest((Message(role="user", content="Hello"),))
# An answer without an end, until its limit.
LONG = ChatRequest(
    (Message(role="user", content="Repeat the word la forever."),),
    sampling=SamplingParams(max_tokens=900, repetition_limit=0),
    thinking=False,
)


def ignore(progress: Progress) -> None:
    """Take progress that no test looks at."""


def speaking() -> tuple[anyio.Event, ReportProgress]:
    """An event that is set when an answer has begun, and the report that sets it."""
    speaks = anyio.Event()

    def report(progress: Progress) -> None:
        if progress.phase in ("reasoning", "answer"):
            speaks.set()

    return speaks, report


@pytest.fixture
def cache(home: Path) -> Path:
    folder = home / ".cache" / "huggingface" / "hub"
    for name in (ALPHA, BETA):
        place_tiny(folder, name)
    return folder


def place_unloadable(cache: Path) -> str:
    """A model that looks sound from outside and that mlx-lm refuses: a layer is missing in its weights."""
    files = {path.name: path.read_bytes() for path in TINY.iterdir() if path.is_file()}
    config = json.loads(files["config.json"])
    files["config.json"] = json.dumps({**config, "num_hidden_layers": config["num_hidden_layers"] + 1}).encode()
    place_in_hub(cache, "acme/broken", files)
    return "acme/broken"


def choice(home: Path) -> str:
    return (home / ".config" / "mlx-mcp" / "active_model").read_text().strip()


async def state_becomes(app: App, state: str) -> None:
    with anyio.fail_after(WAIT_S):
        while (await app.llm.status()).state != state:
            await anyio.lowlevel.checkpoint()


@pytest.mark.usefixtures("cache")
async def test_there_and_back_again_holds_one_model_at_a_time(app: App, home: Path) -> None:
    first = await app.llm.set_model("alpha", ignore)
    second = await app.llm.set_model("beta", ignore)
    third = await app.llm.set_model("alpha", ignore)
    again = await app.llm.set_model("alpha", ignore)
    assert [(one.model, one.previous, one.loaded) for one in (first, second, third, again)] == [
        (ALPHA, None, True),
        (BETA, ALPHA, True),
        (ALPHA, BETA, True),
        (ALPHA, None, False),
    ]
    assert choice(home) == ALPHA
    assert (await collect_result(app.llm.chat(HELLO, ignore))).model == ALPHA


async def test_a_failed_load_keeps_the_choice_and_says_how_to_get_it_back(app: App, home: Path, cache: Path) -> None:
    broken = place_unloadable(cache)
    await app.llm.set_model("alpha", ignore)
    with pytest.raises(ModelLoadError) as raised:
        await app.llm.set_model(broken, ignore)
    assert str(raised.value).startswith(f"{broken} could not be loaded: ")
    assert str(raised.value).endswith(f'The choice is still {ALPHA}; set_model("{ALPHA}") loads it.')
    now = await app.llm.status()
    assert (now.state, now.chosen, choice(home)) == ("unloaded", ALPHA, ALPHA)
    assert now.last_error
    assert broken in now.last_error
    assert (await collect_result(app.llm.chat(HELLO, ignore))).model == ALPHA


async def test_without_a_saved_choice_the_model_that_was_resident_is_named(app: App, cache: Path) -> None:
    broken = place_unloadable(cache)
    await collect_result(app.llm.chat(HELLO, ignore, model="alpha"))
    with pytest.raises(ModelLoadError, match=r'set_model\("acme/alpha-tiny"\) loads the model that was resident'):
        await app.llm.set_model(broken, ignore)


async def test_a_model_that_does_not_fit_leaves_the_resident_one_in_place(app: App, cache: Path) -> None:
    await app.llm.set_model("alpha", ignore)
    place_in_hub(cache, "acme/giant-16bit", model_files(QWEN_32B, Packing(16), parts=2))
    with pytest.raises(InsufficientMemoryError):
        await app.llm.set_model("giant", ignore)
    assert ((await app.llm.status()).state, (await app.llm.status()).model) == ("ready", ALPHA)


@pytest.mark.usefixtures("cache")
async def test_calls_for_the_same_model_share_one_load(app: App) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(app.llm.set_model, "beta", ignore)
    assert (await app.llm.counters()).loads == 1
    assert (await app.llm.status()).model == BETA


@pytest.mark.usefixtures("cache")
async def test_calls_for_several_models_are_served_in_their_order(app: App, home: Path) -> None:
    order: list[str] = []

    async def choose(name: str) -> None:
        switch: Switch = await app.llm.set_model(name, ignore)
        order.append(switch.model)

    async with anyio.create_task_group() as tasks:
        for name in ("alpha", "beta", "alpha"):
            tasks.start_soon(choose, name)
            await anyio.lowlevel.checkpoint()
    assert sorted(order) == [ALPHA, ALPHA, BETA]
    assert (await app.llm.status()).model == order[-1] == choice(home)


@pytest.mark.usefixtures("cache")
async def test_a_call_in_flight_finishes_on_its_model_and_a_later_one_waits_for_the_new(app: App) -> None:
    await app.llm.set_model("alpha", ignore)
    switched: list[Switch] = []
    later: list[ChatResult] = []
    results: list[ChatResult] = []

    async def switch() -> None:
        switched.append(await app.llm.set_model("beta", ignore))

    async def ask() -> None:
        later.append(await collect_result(app.llm.chat(HELLO, ignore, model="beta")))

    speaks, report = speaking()

    async def first() -> None:
        results.append(await collect_result(app.llm.chat(LONG, report)))
        assert (switched, later) == ([], [])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await speaks.wait()
        tasks.start_soon(switch)
        await state_becomes(app, "draining")
        tasks.start_soon(ask)
    assert [result.model for result in results] == [ALPHA]
    assert [one.previous for one in switched] == [ALPHA]
    assert [result.model for result in later] == [BETA]


@pytest.mark.usefixtures("cache")
async def test_a_switch_that_is_cancelled_while_it_waits_changes_nothing(app: App, home: Path) -> None:
    await app.llm.set_model("alpha", ignore)
    results: list[ChatResult] = []
    speaks, report = speaking()

    async def first() -> None:
        results.append(await collect_result(app.llm.chat(LONG, report)))

    async with anyio.create_task_group() as running:
        running.start_soon(first)
        await speaks.wait()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app.llm.set_model, "beta", ignore)
            await state_becomes(app, "draining")
            tasks.cancel_scope.cancel()
    assert [result.model for result in results] == [ALPHA]
    assert ((await app.llm.status()).state, choice(home)) == ("ready", ALPHA)
