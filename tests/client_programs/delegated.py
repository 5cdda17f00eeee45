"""What work costs the context of the real Claude Code, done by itself and handed over with one call.

    python -m tests.client_programs.delegated

writes the table of docs/delegation.md. Claude Code's model is scripted and so is the local one: what is measured is the
bytes of JSON that calls and results add to the conversation, not whether an answer is good.
"""

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from tests.behaviour.reciting_model import Script, cut, write_reciting_model
from tests.client_programs.claude_program import CHAT, OURS, claude, closed_environ, with_account
from tests.client_programs.scripted_claude import Block, call, results_of, scripted_claude, text
from tests.engines.http.fake_server import Exchange, counts, delta, fake_server
from tests.source import ROOT

PAGE = ROOT / "docs" / "delegation.md"
START, END = "<!-- delegated -->\n", "<!-- /delegated -->"
DRAFT = f"{OURS}draft"
PIECE = 40
"""Characters of a token that the local model recites: long answers then need few of them."""

Call = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Work:
    """One piece of work.

    Attributes:
        title: of the row.
        share: of the bytes that doing it by itself costs, the most that handing it over may cost.
        files: name → content.
        answers: what the local model knows a file or diff by → what it says of it.
        rounds: the agent's own calls, a turn after the other; `{project}` stands for the project's folder.
        handed: the call that hands it over.
        staged: name → content of files that are staged on top of those that are committed.
        served: the local model is behind an endpoint: the tokens that one recites here obey no grammar.
    """

    title: str
    share: float
    files: Mapping[str, str]
    answers: Mapping[str, str]
    rounds: Sequence[Sequence[Call]]
    handed: Call
    staged: Mapping[str, str] = field(default_factory=dict[str, str])
    served: bool = False


@dataclass(frozen=True)
class Costs:
    """What came of both ways: bytes in the context, and the result of the call that handed the work over."""

    alone: int
    handed: int
    result: str


def measure(work: Work, folder: Path) -> Costs:
    """Let Claude Code do it in both ways, each in a project of its own."""
    environ = closed_environ(folder)
    if work.served:
        return anyio.run(_measure_served, work, folder, environ)
    scripts = {cue: Script(cut(answer, size=PIECE)) for cue, answer in work.answers.items()}
    model = write_reciting_model(folder / "models" / "reciting", scripts, by_part=True)
    return _measure(work, folder, {**environ, "MCP_LOCAL_LLM_FOLDERS": str(model)})


async def _measure_served(work: Work, folder: Path, environ: dict[str, str]) -> Costs:
    async def answer(exchange: Exchange) -> None:
        asked = exchange.received.body["messages"][-1]["content"]
        said = next((said for cue, said in work.answers.items() if cue in asked), "")
        await exchange.stream(delta(content=said), delta(finish="stop"), counts())

    async with fake_server(answer, window=131_072) as server:
        settings = Path(environ["HOME"], ".config", "mcp-local-llm", "config.toml")
        settings.parent.mkdir(parents=True)
        settings.write_text(f'model = "box/m"\n[[endpoints]]\nname = "box"\nurl = "{server.url}"\n')
        return await anyio.to_thread.run_sync(_measure, work, folder, environ)


def _measure(work: Work, folder: Path, environ: dict[str, str]) -> Costs:
    alone, _ = _run(work.rounds, prepared(work, folder / "alone"), environ)
    handed, results = _run([[work.handed]], prepared(work, folder / "handed"), environ)
    return Costs(alone, handed, results[-1])


def prepared(work: Work, project: Path) -> Path:
    """Write the project; with staged files it is a repository."""
    _write(project, work.files)
    if work.staged:
        identity = ("-c", "user.name=x", "-c", "user.email=x@x.test")
        for command in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "x")):
            subprocess.run(["git", *command], cwd=project, check=True)
        _write(project, work.staged)
        subprocess.run(["git", "add", "."], cwd=project, check=True)
    return project


def _run(rounds: Sequence[Sequence[Call]], project: Path, environ: dict[str, str]) -> tuple[int, list[str]]:
    """Have the scripted model make the calls, a round for each turn; return the bytes they add, and their results."""
    ends = [sum(len(one) for one in rounds[:number]) for number in range(len(rounds) + 1)]
    results: list[str] = []

    def script(request: dict[str, Any]) -> Block | list[Block]:
        found = results_of(request)
        if not request.get("tools") or len(found) >= ends[-1]:
            results[:] = found or results
            return text("Done.")
        calls = rounds[ends.index(len(found))]
        return [call(name, json.loads(json.dumps(given).replace("{project}", str(project)))) for name, given in calls]

    with scripted_claude(script) as api:
        allowed = ["--allowedTools", f"Read,Edit,Bash(git diff:*),{CHAT},{DRAFT}"]
        account = with_account(environ, api.url)
        claude(account, "--plugin-dir", ROOT / "plugin", *allowed, "-p", "Do the work.", folder=project)
    assert len(results) == ends[-1], results
    turns = [request["messages"] for request in api.requests if request.get("tools")]
    # Reminders of Claude Code's own come in some runs, and others in other runs.
    blocks = [block for turn in turns[-1] if isinstance(turn["content"], list) for block in turn["content"]]
    added = [block for block in blocks if block["type"] in ("tool_use", "tool_result")]
    return len(json.dumps(added, ensure_ascii=False).encode()), results


def _write(project: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def source(number: int) -> str:
    """A source file of 400 lines."""
    lines = [f"    def step_{line:03}(self, order):  # of {number}" for line in range(394)]
    return "\n".join(['"""Orders."""', "", f"class Ledger{number:02}:", *lines, "", "", "# end", ""])


def log(number: int) -> str:
    """A log of two kilobytes."""
    fine = [f"2026-11-29T12:{number:02}:{second:02} INFO request {second} answered" for second in range(42)]
    return "\n".join([*fine[:30], f"2026-11-29T12:{number:02}:30 ERROR node {number:02} lost", *fine[30:], ""])


def letter(number: int) -> str:
    """An order of a customer, in a letter of two kilobytes."""
    polite = "We hope that this finds you well, and thank you for the good work of the past year.\n" * 24
    return f"Dear Sirs,\n{polite}Please send {number + 2} crates of part P-{number:03} to Hall {number % 7}.\nYours\n"


def module(functions: int, *, documented: bool) -> str:
    """A module of small functions."""
    words = '    """Return the price of part {0}, in cents."""\n' if documented else ""
    body = "def price_{0:02}(count: int) -> int:\n" + words + "    return count * {0} + {0} % 7\n"
    return '"""Prices."""\n\n\n' + "\n\n".join(body.format(number) for number in range(functions))


def by_reading(names: Sequence[str]) -> list[list[Call]]:
    """One turn in which the agent reads all files."""
    return [[("Read", {"file_path": f"{{project}}/{name}"}) for name in names]]


COUNT = 40
SOURCES = {f"src/part_{number:02}.py": source(number) for number in range(COUNT)}
LOGS = {f"logs/{number:02}.log": log(number) for number in range(COUNT)}
LETTERS = {f"letters/{number:02}.txt": letter(number) for number in range(20)}
CHANGED = {
    f"src/part_{number:02}.py": re.sub(r"(step_\d\d5\(self, order)\)", r"\1, today)", source(number))
    for number in range(2)
}
MISTAKE = "    def step_005(self, order, today):  # of 1"
ROW: Mapping[str, Any] = {
    "type": "object",
    "properties": {"part": {"type": "string"}, "crates": {"type": "integer"}},
    "required": ["part", "crates"],
    "additionalProperties": False,
}
FUNCTIONS = 30
EDITS: list[Call] = [
    (
        "Edit",
        {
            "file_path": "{project}/prices.py",
            "old_string": f"def price_{number:02}(count: int) -> int:\n",
            "new_string": f"def price_{number:02}(count: int) -> int:\n"
            f'    """Return the price of part {number}, in cents."""\n',
        },
    )
    for number in range(FUNCTIONS)
]

WORKS: Mapping[str, Work] = {
    "sources": Work(
        "which class does each of 40 sources of 400 lines define?",
        0.02,
        SOURCES,
        {f"class Ledger{number:02}:": f"Ledger{number:02}" for number in range(COUNT)},
        by_reading(list(SOURCES)),
        (CHAT, {"message": "Which class does it define?", "files": ["src/*.py"], "each_file": True}),
    ),
    "logs": Work(
        "which of 40 logs of 2 kB show an error?",
        0.10,
        LOGS,
        {f"node {number:02} lost": f'Yes: "ERROR node {number:02} lost"' for number in range(COUNT)},
        by_reading(list(LOGS)),
        (CHAT, {"message": "Does it show an error? Quote the line.", "files": ["logs/*.log"], "each_file": True}),
    ),
    "rows": Work(
        "part and number from 20 letters of 2 kB, as rows with a schema",
        0.12,
        LETTERS,
        {
            f"part P-{number:03}": json.dumps({"part": f"P-{number:03}", "crates": number + 2})
            for number in range(len(LETTERS))
        },
        by_reading(list(LETTERS)),
        (
            CHAT,
            {
                "message": "Which part is ordered, and how many crates?",
                "files": ["letters/*.txt"],
                "each_file": True,
                "response_schema": ROW,
            },
        ),
        served=True,
    ),
    "diff": Work(
        "a first look over a staged diff of 156 changed lines",
        0.12,
        {name: source(number) for number, name in enumerate(CHANGED)},
        {
            MISTAKE: json.dumps(
                {"findings": [{"quote": MISTAKE.strip(), "problem": "`today` is never used.", "line": 9}]}
            )
        },
        [[("Bash", {"command": "git diff --staged", "description": "Show what is staged"})]],
        (CHAT, {"message": "", "files": ["git:staged"], "template": "review"}),
        staged=CHANGED,
        served=True,
    ),
    "edit": Work(
        "a docstring for each of 30 functions of a module, by rule",
        0.25,
        {"prices.py": module(FUNCTIONS, documented=False)},
        {"def price_29": module(FUNCTIONS, documented=True)},
        [[("Read", {"file_path": "{project}/prices.py"})], EDITS],
        (
            DRAFT,
            {
                "path": "prices.py",
                "files": ["prices.py"],
                "overwrite": True,
                "message": "Add a docstring of one sentence to each function. Change nothing else.",
            },
        ),
    ),
}


def main() -> None:
    """Measure all of it and write the table."""
    rows = ["| work | Claude Code by itself, bytes | handed over, bytes | share |\n| --- | --- | --- | --- |\n"]
    for work in WORKS.values():
        with tempfile.TemporaryDirectory() as folder:
            costs = measure(work, Path(folder))
        rows.append(f"| {work.title} | {costs.alone:,} | {costs.handed:,} | {costs.handed / costs.alone:.1%} |\n")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    PAGE.write_text(f"{before}{START}{''.join(rows)}{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
