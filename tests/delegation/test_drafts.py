"""Drafts: answers that go straight into files, and what comes back of them."""

import json
from pathlib import Path

import pytest

from mcp_local_llm.values.errors import FileAccessError, InvalidRequestError
from tests.delegation.conftest import desk_of, failing_about_the_log


async def test_an_answer_becomes_a_file_and_only_a_few_lines_come_back(environ: dict[str, str], project: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(100))
    async with desk_of(environ, project, lambda prompt: f"```text\n{text}```") as desk:
        done = await desk.draft("out/notes.txt", "Write notes.", "a.py")
    assert (project / "out/notes.txt").read_text() == text
    assert "new, " in done.head
    assert "line 50" not in done.body + done.head
    assert done.saved.written > 0


async def test_an_edit_shows_a_diff_keeps_the_old_version_and_can_be_undone(
    environ: dict[str, str], project: Path
) -> None:
    old = (project / "a.py").read_text()
    async with desk_of(environ, project, lambda prompt: "def f(x):\n    return x + 1\n") as desk:
        with pytest.raises(FileAccessError, match="overwrite=true"):
            await desk.draft("a.py", "Add one.", "a.py")
        done = await desk.draft("a.py", "Add one.", "a.py", overwrite=True)
        assert "+    return x + 1" in done.body
        assert (project / "a.py").read_text() == "def f(x):\n    return x + 1\n"
        await desk.draft("a.py", restore=True)
    assert (project / "a.py").read_text() == old


async def test_code_that_does_not_parse_is_asked_for_once_more(environ: dict[str, str], project: Path) -> None:
    def answer(text: str) -> str:
        return "x = 1\n" if "cannot be used" in text else "x = (\n"

    async with desk_of(environ, project, answer) as desk:
        await desk.draft("new.py", "Write x.")
    assert (project / "new.py").read_text() == "x = 1\n"


async def test_an_answer_that_was_cut_off_is_never_written(environ: dict[str, str], project: Path) -> None:
    async with desk_of(environ, project, lambda text: "half[cut]") as desk:
        with pytest.raises(FileAccessError, match="cut off"):
            await desk.draft("a.py", "Rewrite.", "a.py", overwrite=True)
    assert (project / "a.py").read_text().startswith("def f")


@pytest.mark.parametrize("path", [".git/hooks/pre-commit", ".claude/settings.json", "../x", ".mcp.json", "/etc/x"])
async def test_what_tools_run_or_obey_is_never_written(environ: dict[str, str], project: Path, path: str) -> None:
    async with desk_of(environ, project, lambda text: "x") as desk:
        with pytest.raises(FileAccessError):
            await desk.draft(path, "Write.")
    assert desk.prompts == []


@pytest.mark.parametrize(("path", "message"), [("", "x"), ("folder/", "x"), ("a.md", " ")])
async def test_an_order_that_is_not_whole_is_refused(
    environ: dict[str, str], project: Path, path: str, message: str
) -> None:
    async with desk_of(environ, project, lambda text: "x") as desk:
        with pytest.raises(InvalidRequestError):
            await desk.draft(path, message)


async def test_each_file_becomes_a_file_of_its_own(environ: dict[str, str], project: Path) -> None:
    async with desk_of(environ, project, lambda text: f"About {'logs' if 'disk full' in text else 'code'}.\n") as desk:
        done = await desk.draft("docs/{stem}.md", "Describe.", ["a.py", "b.log"], each_file=True)
    assert (project / "docs/a.md").read_text() == "About code.\n"
    assert (project / "docs/b.md").read_text() == "About logs.\n"
    assert "2 answered" in done.head


async def test_two_files_with_one_place_are_refused_before_anything_is_asked(
    environ: dict[str, str], project: Path
) -> None:
    (project / "a.txt").write_text("text")
    async with desk_of(environ, project, lambda text: "x") as desk:
        with pytest.raises(InvalidRequestError, match=r"a\.py and a\.txt"):
            await desk.draft("{stem}.md", "Describe.", ["a.py", "a.txt"], each_file=True)
    assert desk.prompts == []


async def test_rows_go_into_one_file_as_they_come_and_the_same_call_goes_on(
    environ: dict[str, str], project: Path
) -> None:
    broken, answer = failing_about_the_log("fine")

    async with desk_of(environ, project, answer) as desk:
        await desk.draft("rows.jsonl", "Classify.", ["a.py", "b.log"], each_file=True)
        broken[0] = False
        asked = len(desk.prompts)
        done = await desk.draft("rows.jsonl", "Classify.", ["a.py", "b.log"], each_file=True)
        assert len(desk.prompts) == asked + 1
    rows = [json.loads(line) for line in (project / "rows.jsonl").read_text().splitlines()]
    assert rows == [{"file": "a.py", "answer": "fine"}, {"file": "b.log", "answer": "fine"}]
    assert "2 files: 2 answered." in done.head
