"""Each task template and each command of the plugin once with a real model: what comes back has the promised form.

A model of 135M parameters is not right; what is checked is what this program makes of its answers. llama-server reads
the prompts, because MLX reads seven tokens a second on a CPU.
"""

import json
import re
import subprocess
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest

from mcp_local_llm.files.tasks.template import Templates
from tests.clients import WAIT_S, private_environ
from tests.engines.servers.conftest import BUILT
from tests.source import ROOT
from tests.wire import Wire, open_wire
from training.real_model import RealModel

pytestmark = pytest.mark.real

SOURCE = "def area(width, height):\n    return width * height\n"
FILES = {
    "shapes.py": SOURCE,
    "test_old.py": "def test_one():\n    assert 1 == 1\n",
    "logs/disk.log": "10:00 start\n10:01 ERROR disk full\n10:02 stopped\n",
    "logs/fine.log": "10:00 start\n10:05 done\n",
    "talk.txt": "A: Which port?\nB: 8080, because 80 needs root.\nA: Good. The log format is still open.\n",
}
ONE_ROW = re.compile(r"(?P<path>[\w./]+): (?P<answer>.+(\n  .*)*)")
SOME_PASSED = re.compile(r"(\d+) answers? passed (?:its|their) checks(?:, (\d+) at the second try)?\.")
SOME_FAULTY = re.compile(r"do not have the form that was asked for: (.*?)\.(?: |$)")
TEMPLATES = Templates()


@dataclass(frozen=True)
class Call:
    """One call of a tool.

    Attributes:
        template: the template that it names.
        command: the command of the plugin that asks for it.
    """

    template: str
    command: str = ""
    message: str = ""
    files: tuple[str, ...] = ()
    path: str = ""
    max_tokens: int = 40

    def __str__(self) -> str:
        return self.template or self.command

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the tool; a file is written where there is a path."""
        named = {"template": self.template, "path": self.path}
        sampling = {"temperature": 0, "max_tokens": self.max_tokens}
        given = {name: value for name, value in named.items() if value}
        return {"message": self.message, "files": [*self.files], **sampling, **given}


LOGS, LOGS_READ = ("logs/*.log",), ("logs/disk.log", "logs/fine.log")
ROWS = (
    Call("extract", message="the time of the first line", files=LOGS),
    Call("classify-logs", files=LOGS, max_tokens=96),
    Call("summarise", files=("shapes.py", "talk.txt")),
    Call("", "delegate", "What failed? Quote the line, or write NONE.", LOGS),
)
TEXTS = (
    Call("commit-message", "commit", files=("git:staged",), max_tokens=64),
    Call("review", "review", files=("git:staged",)),
    Call("explain-error", files=("logs/disk.log", "shapes.py")),
    Call("condense", "condense", files=("talk.txt",)),
)
DRAFTS = (
    Call("docstrings", files=("shapes.py",), path="docstrings.txt"),
    Call("tests", files=("shapes.py", "test_old.py"), path="test_shapes.py"),
    Call("boilerplate", message="a volume with three sides", files=("shapes.py",), path="volumes.py"),
    Call("translate", message="Into French.", files=("talk.txt",), path="talk.fr.txt"),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit and one staged change."""
    folder = tmp_path_factory.mktemp("project")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "Begin"]):
        subprocess.run([*git, *command], check=True)
    (folder / "shapes.py").write_text(SOURCE + "\n\ndef volume(width, height, depth):\n    return width * height\n")
    subprocess.run([*git, "add", "."], check=True)
    return folder


@pytest.fixture(scope="module")
async def session(tmp_path_factory: pytest.TempPathFactory, project: Path, model: RealModel) -> AsyncGenerator[Wire]:
    """One server process, which keeps one llama-server."""
    assert BUILT.is_file(), "there is no llama-server; `make test-real` builds one"
    settings = {
        "CLAUDE_PROJECT_DIR": str(project),
        "MCP_LOCAL_LLM_FOLDERS": str(model.gguf.parent),
        "MCP_LOCAL_LLM_MODEL": model.gguf.stem,
        "MCP_LOCAL_LLM_LLAMA_SERVER": str(BUILT),
        "LLAMA_ARG_THREADS": "1",
    }
    async with open_wire({**private_environ(tmp_path_factory.mktemp("home")), **settings}) as wire:
        yield wire


def test_every_template_and_every_command_has_a_call_here() -> None:
    calls = (*ROWS, *TEXTS, *DRAFTS)
    assert sorted(call.template for call in calls if call.template) == sorted(TEMPLATES.names())
    commands = {path.stem for path in (ROOT / "plugin" / "commands").glob("*.md")}
    assert {call.command for call in calls if call.command} | {"switch-model"} == commands


async def test_the_menu_of_models_names_the_model_and_a_fragment_of_its_name_loads_it(
    session: Wire, model: RealModel
) -> None:
    menu = (await _result(session, "list_models"))["content"][0]["text"]
    assert model.gguf.stem in menu
    switched = await _result(session, "set_model", name="135m")
    assert switched["structuredContent"]["model"] == model.gguf.stem


@pytest.mark.parametrize("call", ROWS, ids=str)
async def test_a_question_to_each_file_comes_back_as_rows_in_the_order_of_the_files(session: Wire, call: Call) -> None:
    result, asked = await _asked(session, "chat", **call.arguments, each_file=True)
    head, body = _texts(result)
    template = TEMPLATES.load(call.template) if call.template else None
    if template is None or template.answer_schema is None:
        matches = [*ONE_ROW.finditer(body)]
        found, cut = (
            [row["path"] for row in matches],
            [row for row in matches if row["answer"].startswith("ERROR truncated")],
        )
    else:
        rows = [json.loads(line) for line in body.splitlines()]
        found, cut = [row["file"] for row in rows], [row for row in rows if row.get("error") == "truncated"]
        for row in rows:
            assert row in cut or not jsonschema.validate(row["answer"], template.answer_schema)
    assert found == [*(LOGS_READ if call.files == LOGS else call.files)]
    assert head.startswith(f"2 files: {2 - len(cut)} answered")
    assert bool(result.get("isError")) == (len(cut) == 2)
    faulty = SOME_FAULTY.search(head)
    passed = SOME_PASSED.search(head)
    left = len(faulty[1].split(", ")) if faulty else 0
    again = int(passed[2] or 0) if passed else 0
    assert asked == 2 + left + again
    assert left + (int(passed[1]) if passed else 0) == (2 - len(cut) if template and template.check else 0)


@pytest.mark.parametrize("call", TEXTS, ids=str)
async def test_a_question_about_files_comes_back_as_text_and_what_its_checks_found_is_told(
    session: Wire, call: Call
) -> None:
    template = TEMPLATES.load(call.template)
    result, asked = await _asked(session, "chat", **call.arguments)
    head, body = _texts(result)
    assert "tokens read here" in head
    whole = result["_meta"]["local-llm/result"]["finish_reason"] == "stop"
    if whole and template.answer_schema is not None:
        jsonschema.validate(json.loads(body), template.answer_schema)
    if whole and template.check:
        assert ("passed its checks" in head) != ("Check the answer" in head), head
    assert asked == 1 + ("second try" in head)


@pytest.mark.parametrize("call", DRAFTS, ids=str)
async def test_a_draft_is_a_whole_file_with_its_size_told_or_no_file_with_the_reason(
    session: Wire, project: Path, call: Call
) -> None:
    path = project / call.path
    result, asked = await _asked(session, "draft", **call.arguments)
    head = result["content"][0]["text"]
    if result.get("isError"):
        assert not path.exists()
        assert "cut off" in head or "repeated itself" in head, head
        assert "The answer is kept in" in head
    else:
        assert f"{path}: new, {path.stat().st_size:,} bytes" in head
        assert [block["uri"] for block in result["content"] if block["type"] == "resource_link"] == [path.as_uri()]
        assert asked == 1 + ("second try" in head or "Check it" in head)


async def _asked(session: Wire, tool: str, **arguments: Any) -> tuple[dict[str, Any], int]:
    """Call a tool; return its result, and how many answers the model gave for it."""
    before = (await _result(session, "status"))["structuredContent"]["calls_answered"]
    result = await _result(session, tool, **arguments)
    after = (await _result(session, "status"))["structuredContent"]["calls_answered"]
    return result, after - before


async def _result(session: Wire, tool: str, **arguments: Any) -> dict[str, Any]:
    with anyio.fail_after(WAIT_S):
        return (await session.answer(await session.call(tool, **arguments)))["result"]


def _texts(result: dict[str, Any]) -> tuple[str, str]:
    """This program's words, and the model's."""
    head, *body = (block["text"] for block in result["content"] if block["type"] == "text")
    return head, "\n".join(body)
