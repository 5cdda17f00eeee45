"""Switching end to end, with the real engine: what runs, what waits, and what stays when a load fails."""

import json
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from mcp_local_llm.app import App, compose
from mcp_local_llm.llm.llm import collect_result
from mcp_local_llm.llm.session import Session
from mcp_local_llm.values.chat import ChatRequest, ChatResult, Message, SamplingParams
from mcp_local_llm.values.errors import InsufficientMemoryError, ModelError, ModelLoadError
from mcp_local_llm.values.progress import Progress, ReportProgress
from mcp_local_llm.values.results import Switch
from tests.apps import close, many
from tests.clients import POLL_S, WAIT_S
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
            await anyio.sleep(POLL_S)


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
    assert str(raised.value).startswith(f"{broken} could not be loaded: Missing ")
    assert "model.layers.4." in str(raised.value), "the names stand on the lines below the heading"
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


def place_changed(cache: Path, name: str, drop: str = "", **entries: object) -> None:
    """A copy of the built-in model with other entries in its config, and without the file `drop`."""
    files = {path.name: path.read_bytes() for path in TINY.iterdir() if path.is_file() and path.name != drop}
    place_in_hub(cache, name, files | {"config.json": json.dumps({**json.loads(files["config.json"]), **entries})})


async def test_a_model_that_writes_no_text_is_refused_with_the_reason_before_anything_is_unloaded(
    app: App, home: Path, cache: Path
) -> None:
    place_changed(cache, "acme/ranks", architectures=["Qwen3ForSequenceClassification"])
    place_changed(cache, "acme/drafts", architectures=["DFlashDraftModel"])
    place_changed(cache, "acme/ropes", model_type="nemotron-nas", rope_scaling={"type": "llama3"})
    await app.llm.set_model("alpha", ignore)
    for name, reason in (("ranks", "a classifier or reranker"), ("drafts", "draft head"), ("ropes", "rope_scaling")):
        with pytest.raises(ModelError, match=reason):
            await app.llm.set_model(f"acme/{name}", ignore)
        with pytest.raises(ModelError, match=reason):
            await collect_result(app.llm.chat(HELLO, ignore, model=name))
    rows = {row.name: row for row in (await app.llm.list_models()).models}
    assert not any(rows[f"acme/{name}"].fits for name in ("ranks", "drafts", "ropes"))
    assert ((await app.llm.status()).state, (await app.llm.status()).model, choice(home)) == ("ready", ALPHA, ALPHA)


async def test_a_base_model_is_refused_for_chats_before_anything_is_unloaded_and_continues_raw_text(
    app: App, home: Path, cache: Path
) -> None:
    place_changed(cache, "acme/base", drop="chat_template.jinja")
    await app.llm.set_model("alpha", ignore)
    with pytest.raises(ModelError, match="has no chat template"):
        await app.llm.set_model("base", ignore)
    with pytest.raises(ModelError, match="has no chat template"):
        await collect_result(app.llm.chat(HELLO, ignore, model="acme/base"))
    (row,) = [row for row in (await app.llm.list_models()).models if row.name == "acme/base"]
    assert not row.fits
    assert "no chat" in row.fit
    assert ((await app.llm.status()).model, choice(home), (await app.llm.counters()).loads) == (ALPHA, ALPHA, 1)
    raw = ChatRequest((), prompt="la la", sampling=SamplingParams(max_tokens=3))
    assert (await collect_result(app.llm.chat(raw, ignore, model="acme/base"))).model == "acme/base"


@pytest.mark.usefixtures("cache")
async def test_an_answer_notes_once_that_another_session_changed_the_model(environ: dict[str, str], home: Path) -> None:
    async with many() as apps:
        first, second = (await apps.open(environ, home)).llm, (await apps.open(environ, home)).llm

        async def noted(session: Session, model: str | None = None) -> tuple[str, str]:
            result = await collect_result(session.chat(HELLO, ignore, model=model))
            assert (result.switch_note in result.warnings) == bool(result.switch_note)
            return result.model, result.switch_note

        for own, other in ((first, second), (second, first)):
            await own.set_model("alpha", ignore)
            assert await noted(own) == (ALPHA, "")
            await other.set_model("beta", ignore)
            assert await noted(other) == (BETA, "")
            note = f"{BETA} answered: outside of this session the choice was changed from {ALPHA}."
            assert await noted(own) == (BETA, note)
            assert await noted(own) == (BETA, "")
            # What a session itself asks for is no news to it.
            assert await noted(own, "alpha") == (ALPHA, "")
            assert await noted(own) == (BETA, "")


@pytest.mark.usefixtures("cache")
async def test_a_model_of_the_process_answers_what_names_none_and_leaves_the_choice(
    environ: dict[str, str], home: Path
) -> None:
    app = compose(environ, home, "beta")
    try:
        async with app.llm:
            await app.llm.set_model("alpha", ignore)
            await app.llm.preload(ignore)
            assert (await app.llm.status()).model == BETA
            assert (await collect_result(app.llm.chat(HELLO, ignore))).model == BETA
            assert (await collect_result(app.llm.chat(HELLO, ignore, model="alpha"))).model == ALPHA
            assert choice(home) == ALPHA
    finally:
        close(app)


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


@pytest.mark.slow
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
