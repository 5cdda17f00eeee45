"""The file of measured speeds."""

import json
import logging
from pathlib import Path

import pytest

from mcp_local_llm.app import App
from mcp_local_llm.doors.results_text import table_text
from mcp_local_llm.llm.llm import collect_result
from mcp_local_llm.models.speed import MAX_MODELS, MIN_PROMPT_TOKENS, MIN_TOKENS, Speed, SpeedFile, engine_versions
from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams
from mcp_local_llm.values.model import ModelInfo


def model(name: str = "acme/seven-4bit", size: int = 4_000_000_000) -> ModelInfo:
    return ModelInfo(id=name, path=Path("/models") / name, source="folder", weight_bytes=size)


def speeds(path: Path, versions: str = "mlx 1, mlx-lm 1") -> SpeedFile:
    return SpeedFile(path / "state" / "speeds.json", lambda: versions)


def record(file: SpeedFile, model: ModelInfo, tokens: int, rate: float) -> None:
    """Keep the speed of an answer where it is news, as the core does."""
    if file.add(model, tokens, rate):
        file.save()


def test_nothing_is_known_before_the_first_measurement(tmp_path: Path) -> None:
    assert speeds(tmp_path).measured()(model()) is None
    assert not (tmp_path / "state").exists()


def test_a_speed_is_kept_from_one_run_to_the_next_and_called_measured(tmp_path: Path) -> None:
    record(speeds(tmp_path), model(), 100, 41.5)
    speed = speeds(tmp_path).measured()(model())
    assert speed is not None
    assert (speed.tokens_per_second, speed.measured, str(speed)) == (41.5, True, "42 tok/s (instant)")


def test_the_best_of_the_last_five_is_shown(tmp_path: Path) -> None:
    file = speeds(tmp_path)
    shown: list[float] = []
    for rate in (60.0, 1.0, 40.0, 42.0, 2.0, 44.0, 41.0, 1.0, 1.0, 1.0, 1.0, 1.0):
        record(file, model(), 100, rate)
        speed = file.measured()(model())
        assert speed is not None
        shown.append(speed.tokens_per_second)
    # A slow answer changes nothing; a machine that stays slow is shown as such after five.
    assert shown == [60.0] * 5 + [44.0] * 5 + [41.0, 1.0]


def test_the_file_is_written_only_for_news(tmp_path: Path) -> None:
    file = speeds(tmp_path)
    assert file.add(model(), 100, 40.0)
    file.save()
    assert [file.add(model(), 100, rate) for rate in (41.0, 2.0)] == [False, False]
    assert file.add(model(), 100, 60.0), "now the best has moved"
    assert speeds(tmp_path).measured()(model()) == Speed(40.0, measured=True)
    assert file.measured()(model()) == Speed(60.0, measured=True), "what was not written yet counts as well"
    file.save()
    assert json.loads(file.path.read_text()) == {
        "acme/seven-4bit (4000000000 bytes, mlx 1, mlx-lm 1)": [40.0, 41.0, 2.0, 60.0]
    }


@pytest.mark.parametrize(
    ("tokens", "rate"), [(MIN_TOKENS - 1, 40.0), (100, 0.0), (100, float("nan")), (100, float("inf"))]
)
def test_a_short_answer_or_no_number_measures_nothing(tmp_path: Path, tokens: int, rate: float) -> None:
    record(speeds(tmp_path), model(), tokens, rate)
    assert not (tmp_path / "state").exists()


def test_another_size_another_name_or_another_release_is_another_measurement(tmp_path: Path) -> None:
    record(speeds(tmp_path), model(), 100, 40.0)
    assert speeds(tmp_path).measured()(model(size=8_000_000_000)) is None
    assert speeds(tmp_path).measured()(model("acme/eight-4bit")) is None
    assert speeds(tmp_path, "mlx 2, mlx-lm 1").measured()(model()) is None


def test_the_file_stays_bounded_and_the_oldest_model_goes_first(tmp_path: Path) -> None:
    file = speeds(tmp_path)
    for number in range(MAX_MODELS + 1):
        record(file, model(f"acme/{number}"), 100, 40.0)
        if number == MAX_MODELS - 1:
            record(file, model("acme/0"), 100, 40.0)
    known = file.measured()
    assert len(json.loads(file.path.read_text())) == MAX_MODELS
    assert known(model("acme/0"))
    assert known(model("acme/1")) is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"a": {"b": 1}}', b'{"a": [1, "x"]}', b"[" * 100_000]
)
def test_a_broken_file_is_empty_warns_once_and_is_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    file = speeds(tmp_path)
    file.path.parent.mkdir()
    file.path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert file.measured()(model()) is None
        assert file.measured()(model()) is None
    assert len(caplog.records) == 1
    record(file, model(), 100, 40.0)
    assert speeds(tmp_path).measured()(model())


def test_a_folder_that_cannot_be_written_costs_the_measurement_and_no_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("a file, no folder")
    with caplog.at_level(logging.WARNING):
        record(speeds(tmp_path), model(), 100, 40.0)
    assert caplog.records


def test_the_versions_are_those_of_the_installed_engine() -> None:
    assert engine_versions().startswith("mlx ")
    assert ", mlx-lm " in engine_versions()


async def test_a_long_answer_turns_the_estimate_of_the_list_into_a_measurement(app: App, home: Path) -> None:
    (before,) = (await app.llm.list_models()).models
    assert (before.tokens_per_second, before.speed) == (None, "not known")
    sampling = SamplingParams(max_tokens=MIN_TOKENS + 8, temperature=2.0, seed=1)
    question = Message(role="user", content="Write a haiku about a river.")
    result = await collect_result(app.llm.chat(ChatRequest((question,), sampling=sampling), lambda progress: None))
    (after,) = (await app.llm.list_models()).models
    measured = result.usage.completion_tokens >= MIN_TOKENS
    assert ((home / ".local" / "state" / "mcp-local-llm" / "speeds.json").is_file(), measured) == (True, True)
    assert after.tokens_per_second
    assert not after.speed.startswith("~")
    assert "the best of the last answers here" in table_text(await app.llm.list_models(), "")


async def test_a_long_prompt_alone_measures_the_prefill(app: App) -> None:
    async def asked(words: str) -> float | None:
        request = ChatRequest((Message(role="user", content=words),), sampling=SamplingParams(max_tokens=1))
        await collect_result(app.llm.chat(request, lambda progress: None))
        (row,) = (await app.llm.list_models()).models
        return row.prefill_tokens_per_second

    assert await asked("Hello") is None
    assert (await asked("river " * MIN_PROMPT_TOKENS) or 0) > 0


async def test_the_list_says_of_a_model_here_whether_its_template_knows_tools(app: App) -> None:
    assert [row.tools for row in (await app.llm.list_models()).models] == [True]
