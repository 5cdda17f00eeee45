"""Files in `chat` and the tool `draft` as an agent meets them: blocks, links, numbers and refusals."""

import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult, ResourceLink, TextContent
from tokenizers import Tokenizer

from mcp_local_llm.models.find import default_roots, find_models
from tests.clients import WAIT_S, private_environ
from tests.doors.mcp.answers import numbers
from tests.doors.mcp.conftest import open_door
from tests.wire import open_wire


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work") / "project"
    folder.mkdir()
    (folder / "a.py").write_text("def f(x):\n    return x\n")
    (folder / ".env").write_text("TOKEN=planted\n")
    for number in range(6):
        (folder / f"{number}.log").write_text(f"{number} INFO fine\n")
    return folder


@pytest.fixture(scope="module", params=["memory-legacy", "stdio-auto"])
async def agent(
    request: pytest.FixtureRequest, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Client]:
    """A client whose session may read the project."""
    environ = private_environ(tmp_path_factory.mktemp("home"))
    async with open_door(request.param, {**environ, "CLAUDE_PROJECT_DIR": str(project)}) as client:
        yield client


def texts(result: CallToolResult) -> list[str]:
    return [block.text for block in result.content if isinstance(block, TextContent)]


def linked(result: CallToolResult) -> list[Path]:
    links = [block for block in result.content if isinstance(block, ResourceLink)]
    return [Path(url2pathname(urlparse(str(link.uri)).path)) for link in links]


async def test_the_server_s_words_the_answer_and_the_numbers_come_apart(agent: Client) -> None:
    result = await agent.call_tool("chat", {"message": "Say hello.", "files": ["a.py"], "max_tokens": 60})
    head, *_ = texts(result)
    assert head.startswith("1 file, ")
    assert not result.is_error
    told = numbers(result)
    assert told["files"]["tokens_read"] > 0
    assert told["files"]["tokens_saved"] == (
        told["files"]["tokens_read"] - told["files"]["tokens_sent"] - told["files"]["tokens_returned"]
    )
    assert told["files"]["estimated"] is False
    assert told["model"] == "tiny"


async def test_every_file_of_a_pattern_has_its_row_in_order(agent: Client) -> None:
    asked = {"message": "Say one word.", "files": "*.log", "each_file": True, "max_tokens": 60, "thinking": False}
    result = await agent.call_tool("chat", asked)
    rows = [line for line in texts(result)[1].splitlines() if not line.startswith(" ")]
    assert [row.partition(":")[0] for row in rows] == [f"{number}.log" for number in range(6)]
    assert texts(result)[0].startswith("6 files: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"message": "Read.", "files": [".env"]}, "secret"),
        ({"message": "Read.", "files": ["/etc/passwd"]}, "project"),
        ({"message": "Read.", "files": ["gone.py"]}, "gone.py"),
        ({"message": "Read.", "file": "a.py"}, "did you mean 'files'"),
        ({"message": "", "files": ["a.py"]}, "message is empty"),
        ({"message": "Read.", "files": ["a.py"], "template": "nonsense"}, "template"),
        ({"message": "Read.", "files": ["a.py"], "max_seconds": -2}, "max_seconds"),
    ],
)
async def test_a_refusal_says_what_is_wrong(agent: Client, arguments: dict[str, object], words: str) -> None:
    result = await agent.call_tool("chat", arguments)
    assert result.is_error
    assert words.lower() in texts(result)[0].lower()
    assert "planted" not in str(result)


async def test_a_message_that_names_a_file_is_told_that_none_was_read(agent: Client) -> None:
    result = await agent.call_tool("chat", {"message": "Summarise a.py.", "max_tokens": 40})
    assert texts(result)[-1].startswith("[")
    assert 'files=["a.py"]' in texts(result)[-1]


async def test_a_draft_is_written_and_linked_and_comes_back_as_a_report(agent: Client, project: Path) -> None:
    asked = {"path": "out/hello.md", "message": "Hello", "thinking": False, "overwrite": True}
    result = await agent.call_tool("draft", asked)
    if result.is_error:  # What the built-in model says is its own affair; a cut answer is not written.
        assert "was not written" in texts(result)[0]
        return
    assert linked(result) == [project / "out/hello.md"]
    assert (project / "out/hello.md").read_text().strip()


async def test_the_tokens_read_are_those_of_the_tokenizer_in_the_text_in_meta_and_in_the_status(
    project: Path, environ: dict[str, str]
) -> None:
    (shipped,) = find_models(default_roots({}, Path(environ["HOME"])))
    tokenizer: Any = Tokenizer.from_file(str(shipped.path / "tokenizer.json"))

    def tokens(*texts: str) -> int:
        return sum(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts)

    logs = [path.read_text() for path in sorted(project.glob("*.log"))]
    lines = (project / "a.py").read_text().splitlines(keepends=True)
    calls: list[tuple[dict[str, object], int]] = [
        ({"files": "*.log", "each_file": True}, tokens(*logs)),
        ({"files": ["*.log", "0.log", ".env"], "each_file": True}, tokens(*logs)),
        ({"files": "*.log"}, tokens(*logs)),
        ({"files": ["a.py:2", "0.log"]}, tokens(lines[1], logs[0])),
    ]
    saved = 0
    async with open_door("memory-legacy", {**environ, "CLAUDE_PROJECT_DIR": str(project)}) as agent:
        for more, read in calls:
            asked = {"message": "Say one word.", "max_tokens": 60, "thinking": False, **more}
            result = await agent.call_tool("chat", asked)
            assert numbers(result)["files"]["tokens_read"] == read
            assert f" {read:,} tokens read here" in texts(result)[0]
            saved += numbers(result)["files"]["tokens_saved"]
        status = (await agent.call_tool("status", {})).structured_content
    words = f"{saved:,} tokens stayed out" if saved >= 0 else f"{-saved:,} tokens more than reading"
    assert f"4 calls with files: {words}" in str(status)


async def test_the_status_tells_the_folders_whose_files_may_be_read(agent: Client, project: Path) -> None:
    result = await agent.call_tool("status", {})
    assert str(project) in str(result.structured_content)


async def test_nothing_is_written_in_a_read_only_sandbox(environ: dict[str, str], project: Path) -> None:
    async with open_wire({**environ, "CLAUDE_PROJECT_DIR": str(project)}) as wire:
        for turn in ({"sandbox_mode": "read-only"}, '{"sandbox_mode": "read-only"}'):
            request = await wire.request(
                "tools/call",
                {
                    "name": "draft",
                    "arguments": {"path": "x.md", "message": "Hello"},
                    "_meta": {"x-codex-turn-metadata": turn},
                },
            )
            assert "read-only sandbox" in await wire.text(request)
    assert not (project / "x.md").exists()


async def test_what_cannot_be_read_of_a_sandbox_fails_no_draft(environ: dict[str, str], project: Path) -> None:
    async with open_wire({**environ, "CLAUDE_PROJECT_DIR": str(project)}) as wire:
        for number, turn in enumerate(("{", "[" * 100_000, "9" * 5000)):
            arguments = {"path": f"x{number}.md", "message": "Hello"}
            named = {"name": "draft", "arguments": arguments, "_meta": {"x-codex-turn-metadata": turn}}
            await wire.answer(await wire.request("tools/call", named))
            assert (project / f"x{number}.md").exists()


async def test_without_a_project_the_working_folder_counts(environ: dict[str, str], project: Path) -> None:
    repository = Path(__file__).parents[3]
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "mcp_local_llm"],
        env={**environ, "PYTHONPATH": os.pathsep.join([str(repository), *sys.path])},
        cwd=project,
    )
    async with Client(parameters, read_timeout_seconds=WAIT_S) as client:
        status = (await client.call_tool("status", {})).structured_content
    assert str(project) in str(status)
