"""Rows that are kept for the same call: what the same call is, and what goes on without a place for them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_local_llm.delegation.task import DraftOrder, FileTask
from mcp_local_llm.values.chat import ChatRequest
from mcp_local_llm.values.errors import FileAccessError, InvalidRequestError
from tests.delegation.conftest import Desk, desk_of, failing_about_the_log

FILES = ["a.py", "b.log"]


def blocked(home: Path) -> None:
    """A file where the folder of all states would be."""
    (home / ".local").mkdir(parents=True)
    (home / ".local" / "state").write_text("a file")


def taken(home: Path) -> None:
    """A file where the state folder's part for calls would be."""
    (home / ".local/state/mcp-local-llm").mkdir(parents=True)
    (home / ".local/state/mcp-local-llm/calls").write_text("a file")


@pytest.fixture(params=[blocked, taken], ids=["no folder", "no section"])
def no_state(request: pytest.FixtureRequest, home: Path) -> None:
    prepare: Callable[[Path], None] = request.param
    prepare(home)


@pytest.mark.usefixtures("no_state")
async def test_rows_come_back_where_nothing_can_be_kept(environ: dict[str, str], project: Path) -> None:
    async with desk_of(environ, project, lambda text: "fine") as desk:
        done = await desk.chat("Classify.", FILES, each_file=True)
        notes = desk.delegation.notes()
    assert done.body == "a.py: fine\nb.log: fine"
    assert "Nothing is kept for a repeat of this call." in done.head
    assert str(Path(environ["HOME"], ".local/state")) in done.head
    assert not done.failed
    assert str(project) in notes[0]


async def test_a_long_row_is_cut_and_the_head_says_that_the_whole_could_not_be_kept(
    environ: dict[str, str], project: Path, home: Path
) -> None:
    blocked(home)
    async with desk_of(environ, project, lambda text: "word " * 200) as desk:
        done = await desk.chat("Classify.", FILES, each_file=True)
        whole = await desk.chat("Write.", "a.py")
    assert all(len(row) <= 300 for row in done.body.split("\n"))
    assert "the whole could not be kept" in done.head
    assert whole.body == ("word " * 200).strip()


@pytest.mark.usefixtures("no_state")
@pytest.mark.parametrize("path", ["rows.jsonl", "docs/{stem}.md"])
async def test_a_draft_over_many_files_is_refused_before_anything_is_asked(
    environ: dict[str, str], project: Path, path: str
) -> None:
    async with desk_of(environ, project, lambda text: "fine") as desk:
        with pytest.raises(FileAccessError, match="state") as refused:
            await desk.draft(path, "Classify.", FILES, each_file=True)
    assert refused.value.kind == "state"
    assert desk.prompts == []


async def chat_rows(desk: Desk) -> str:
    request = ChatRequest((), response_schema={"type": "object"})
    return (await desk.chat("Classify.", FILES, each_file=True, request=request)).head


async def draft_rows(desk: Desk, path: str = "rows.jsonl") -> str:
    request = ChatRequest((), response_schema={"type": "object"})
    return (await desk.draft(path, "Classify.", FILES, each_file=True, request=request)).head


async def test_a_question_and_drafts_to_other_places_are_not_the_same_call(
    environ: dict[str, str], project: Path
) -> None:
    broken, answer = failing_about_the_log('{"n": 1}')

    async with desk_of(environ, project, answer) as desk:
        for early in (chat_rows(desk), draft_rows(desk)):
            assert "ended early" in await early
        broken[0] = False
        asked = len(desk.prompts)
        assert "same call" not in await draft_rows(desk, "other.jsonl")
        assert len(desk.prompts) == asked + 2
        assert "1 of the rows is from the same call" in await draft_rows(desk)
        assert "1 of the rows is from the same call" in await chat_rows(desk)


@pytest.mark.parametrize("kept", ["no JSON", "{", "", "NaN"])
async def test_a_kept_answer_that_makes_no_row_is_asked_for_again(
    environ: dict[str, str], project: Path, home: Path, kept: str
) -> None:
    broken, answer = failing_about_the_log('{"n": 1}')

    async with desk_of(environ, project, answer) as desk:
        await draft_rows(desk)
        (journal,) = (home / ".local/state/mcp-local-llm/calls").iterdir()
        (row,) = [json.loads(line) for line in journal.read_text().splitlines()]
        row[2] = kept
        odd: list[object] = [[1, 2, 3, 4], {"a": 1}, "x", None, ["a.py"], [*row, 5], [row[0], row[1], {}, ""]]
        journal.write_text("".join(f"{json.dumps(line)}\n" for line in [*odd, row]))
        (project / "rows.jsonl").unlink()
        broken[0] = False
        assert "2 files: 2 answered." in await draft_rows(desk)
    assert {json.loads(line)["file"] for line in (project / "rows.jsonl").read_text().splitlines()} == {"a.py", "b.log"}


async def test_rows_that_all_fail_leave_no_file_and_the_same_call_goes_on(
    environ: dict[str, str], project: Path
) -> None:
    (project / "old.jsonl").write_text("theirs\n")

    def answer(text: str) -> str:
        return "half[cut]"

    async with desk_of(environ, project, answer) as desk:
        for path, overwrite in (("rows.jsonl", False), ("old.jsonl", True)):
            for _ in range(2):
                done = await desk.draft(path, "Classify.", FILES, each_file=True, overwrite=overwrite)
                assert (done.failed, done.files) == (True, ())
                assert "not written" in done.head
                assert "2 files: 0 answered, 2 truncated." in done.head
    assert not (project / "rows.jsonl").exists()
    assert (project / "old.jsonl").read_text() == "theirs\n"


async def test_a_restore_says_that_a_message_had_no_effect(environ: dict[str, str], project: Path) -> None:
    async with desk_of(environ, project, lambda text: "new\n") as desk:
        await desk.draft("b.log", "Write.", overwrite=True)
        order = DraftOrder("b.log", FileTask(None, "Write it better."), restore=True)
        done = await desk.delegation.draft(order, desk.seen.append)
    assert "restore=true has no use for message" in done.head
    assert "disk full" in (project / "b.log").read_text()


async def test_two_ranges_of_a_file_have_no_place_each(environ: dict[str, str], project: Path) -> None:
    async with desk_of(environ, project, lambda text: "x") as desk:
        with pytest.raises(InvalidRequestError, match=r"Two parts of a\.py"):
            await desk.draft("docs/{stem}.md", "Describe.", ["a.py:1", "a.py:2"], each_file=True)


@pytest.mark.parametrize(("answer", "word"), [("half[cut]", "truncated"), ("no JSON", "schema")])
async def test_a_row_says_in_a_word_why_an_answer_is_not_whole(
    environ: dict[str, str], project: Path, answer: str, word: str
) -> None:
    request = ChatRequest((), response_schema={"type": "object"})
    async with desk_of(environ, project, lambda text: answer) as desk:
        done = await desk.chat("Classify.", FILES, each_file=True, request=request)
    assert {json.loads(row)["error"] for row in done.body.split("\n")} == {word}
