"""What 40 files cost the context of the real Claude Code: read with its own tool, and handed over with one call."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from tests.behaviour.reciting_model import Script, cut, write_reciting_model
from tests.client_programs.claude_program import CHAT, WHERE_IT_RUNS, claude, with_account
from tests.client_programs.scripted_claude import Block, call, results_of, scripted_claude, text
from tests.source import ROOT

pytestmark = WHERE_IT_RUNS

COUNT = 40


@dataclass(frozen=True)
class Kind:
    """Forty files of one kind.

    Attributes:
        share: of the bytes that reading them costs, the most that handing them over may cost.
        pattern, question: of the call.
        name, content: of the file with this number.
        cue, answer: what the model knows that file by, and what it says of it.
    """

    share: float
    pattern: str
    question: str
    name: Callable[[int], str]
    content: Callable[[int], str]
    cue: Callable[[int], str]
    answer: Callable[[int], str]


def source(number: int) -> str:
    """A source file of 400 lines."""
    lines = [f"    def step_{line:03}(self, order):  # of {number}" for line in range(394)]
    return "\n".join(['"""Orders."""', "", f"class Ledger{number:02}:", *lines, "", "", "# end", ""])


def log(number: int) -> str:
    """A log of two kilobytes."""
    fine = [f"2026-11-29T12:{number:02}:{second:02} INFO request {second} answered" for second in range(42)]
    return "\n".join([*fine[:30], f"2026-11-29T12:{number:02}:30 ERROR node {number:02} lost", *fine[30:], ""])


KINDS = {
    "sources": Kind(
        0.02,
        "src/*.py",
        "Which class does it define?",
        lambda number: f"src/part_{number:02}.py",
        source,
        lambda number: f"class Ledger{number:02}:",
        lambda number: f"Ledger{number:02}",
    ),
    "logs": Kind(
        0.10,
        "logs/*.log",
        "Does it show an error? Quote the line.",
        lambda number: f"logs/{number:02}.log",
        log,
        lambda number: f"node {number:02} lost",
        lambda number: f'Yes: "ERROR node {number:02} lost"',
    ),
}


def added_bytes(requests: list[dict[str, Any]]) -> int:
    """What came into the context after the first request of a conversation, in bytes of JSON."""
    turns = [request["messages"] for request in requests if request.get("tools")]
    return len(json.dumps(turns[-1], ensure_ascii=False).encode()) - len(json.dumps(turns[0]).encode())


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_forty_files_in_one_call_cost_a_small_share_of_the_context_that_reading_them_costs(
    kind: Kind, claude_environ: dict[str, str], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    contents = {kind.name(number): kind.content(number) for number in range(COUNT)}
    for name, content in contents.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    scripts = {kind.cue(number): Script(cut(kind.answer(number))) for number in range(COUNT)}
    model = write_reciting_model(tmp_path / "models" / "reciting", scripts, by_part=True)
    rows: list[str] = []

    def reads(request: dict[str, Any]) -> Block | list[Block]:
        if not request.get("tools") or results_of(request):
            return text("Read.")
        return [call("Read", {"file_path": str(project / name)}) for name in contents]

    def delegates(request: dict[str, Any]) -> Block:
        rows[:] = results_of(request)
        if not request.get("tools") or rows:
            return text("Delegated.")
        return call(CHAT, {"message": kind.question, "files": [kind.pattern], "each_file": True})

    costs: list[int] = []
    for script in (reads, delegates):
        with scripted_claude(script) as scripted:
            environ = {**with_account(claude_environ, scripted.url), "MCP_LOCAL_LLM_FOLDERS": str(model)}
            allowed = ["--allowedTools", f"Read,{CHAT}"]
            claude(environ, "--plugin-dir", ROOT / "plugin", *allowed, "-p", kind.question, folder=project)
            costs.append(added_bytes(scripted.requests))
    reading, delegating = costs
    assert reading > sum(map(len, contents.values()))
    assert delegating <= kind.share * reading
    (result,) = rows
    assert "40 files: 40 answered." in result
    head, *answers = result.splitlines()
    assert answers == [f"{kind.name(number)}: {kind.answer(number)}" for number in range(COUNT)]
    tokenizer: Any = Tokenizer.from_file(str(model / "tokenizer.json"))
    read = sum(len(tokenizer.encode(content, add_special_tokens=False).ids) for content in contents.values())
    assert f" {read:,} tokens read here." in head
