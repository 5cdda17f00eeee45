"""A process that is killed in the middle of a draft over many files: every row is whole, and the same call goes on."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.wire import open_wire

FILES = 40


@pytest.mark.fault(
    "Signals to the server",
    f"SIGKILL in the middle of a draft over {FILES} files",
    promised="every row on the disk is whole; the same call goes on behind them",
    tries=3,
)
async def test_a_killed_draft_over_forty_files_is_finished_by_the_same_call(
    environ: dict[str, str], tmp_path: Path, attempt: int
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for number in range(FILES):
        (project / f"{number:02}.txt").write_text(f"Entry {number}.\n")
    environ = {**environ, "CLAUDE_PROJECT_DIR": str(project)}
    order: dict[str, Any] = {
        "path": "rows.jsonl",
        "message": "Say one word.",
        "files": ["*.txt"],
        "each_file": True,
        "thinking": False,
        "response_schema": {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]},
        "max_tokens": 40,
    }
    rows = project / "rows.jsonl"
    async with open_wire(environ) as wire:
        request = await wire.call("draft", **order)
        seen = 1
        while sum(f"/{FILES} files" in words for words in await wire.progress(request, seen)) <= attempt:
            seen += 1
        os.kill(wire.process.pid, signal.SIGKILL)
        await wire.ended()
    begun = [json.loads(line) for line in rows.read_text().splitlines()]
    assert 0 < len(begun) < FILES
    async with open_wire(environ) as wire:
        answer = (await wire.answer(await wire.call("draft", **order)))["result"]
    assert not answer.get("isError"), answer
    whole = [json.loads(line) for line in rows.read_text().splitlines()]
    assert whole[: len(begun)] == begun
    assert sorted(row["file"] for row in whole) == [f"{number:02}.txt" for number in range(FILES)]
    assert all(set(row["answer"]) == {"ok"} for row in whole)
