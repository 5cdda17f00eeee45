"""What stays on its line: events of streams, and what a model's files say of it."""

import json
from pathlib import Path

import pytest

from mcp_local_llm.doors.http.api import json_event
from mcp_local_llm.values.model import FoundModels, ModelInfo, Quantization

BREAKS = "a\nb\r\nc\u2028d\u2029e\x85f\vg\x1ch"


def test_an_event_is_one_line_for_every_program() -> None:
    data = json_event({"text": BREAKS}).data
    assert len(data.splitlines()) == 1
    assert json.loads(data) == {"text": BREAKS}


@pytest.mark.parametrize("text", ["a\nb", "a\u2028b", "a\x1b[2Kb", "a\u202eb"])
def test_what_is_said_of_a_model_shows_what_would_break_its_line(text: str) -> None:
    escaped = text.replace(text[1], text[1].encode("unicode_escape").decode())
    stored = Quantization(4, mode=text)
    info = ModelInfo(text, Path("x"), "folder", architecture=text, problems=(text,))
    assert [info.id, info.architecture, *info.problems, str(stored)] == [escaped] * 4
    assert FoundModels((), (text,)).warnings == (escaped,)
