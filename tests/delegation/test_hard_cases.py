"""Calls that are easily got wrong: edits of a part, texts in parts, flags without files, second tries that fail."""

import json
import subprocess
from pathlib import Path

import pytest

from mcp_local_llm.values.chat import ChatRequest, Message, ToolCall, ToolSpec
from mcp_local_llm.values.errors import FileAccessError, InvalidRequestError, LocalLLMError
from tests.delegation.conftest import Overflow, Refused, Silent, desk_of

WINDOW = 4096


@pytest.mark.parametrize(("path", "each"), [("a.py", False), ("{dir}/{name}", True)])
async def test_an_edit_of_a_range_is_refused_because_the_rest_of_the_file_would_be_lost(
    environ: dict[str, str], project: Path, path: str, each: bool
) -> None:
    old = (project / "a.py").read_text()
    async with desk_of(environ, project, lambda text: "x = 1\n") as desk:
        with pytest.raises(InvalidRequestError, match="only lines 1-1"):
            await desk.draft(path, "Add one.", ["a.py:1"], each_file=each, overwrite=True)
    assert desk.prompts == []
    assert (project / "a.py").read_text() == old


@pytest.mark.parametrize("window", [WINDOW, None])
@pytest.mark.parametrize("each", [False, True])
async def test_a_file_that_does_not_fit_is_not_edited_and_what_would_help_is_no_split(
    environ: dict[str, str], project: Path, window: int | None, each: bool
) -> None:
    (project / "long.txt").write_text("a line of prose\n" * 3000)

    def answer(text: str) -> str:
        raise Overflow  # Reached where nobody tells a window.

    async with desk_of(environ, project, answer, window=window) as desk:
        more = {"split": True, "overwrite": True}
        if each:
            done = await desk.draft("{name}", "Mend it.", ["long.txt"], each_file=True, **more)
            assert done.failed
            told = done.body
        else:
            with pytest.raises(LocalLLMError) as refused:
                await desk.draft("long.txt", "Mend it.", "long.txt", **more)
            told = str(refused.value)
    assert "an edit needs the whole file at once, so split=true does not help" in told, told
    assert "reads" not in told.replace("What helps", "")
    assert (project / "long.txt").read_text() == "a line of prose\n" * 3000


async def test_in_place_edits_of_many_files_ask_for_whole_files_and_name_faults_once(
    environ: dict[str, str], project: Path
) -> None:
    (project / "c.py").write_text("y = 2\n")

    def answer(text: str) -> str:
        return "z = 3\n" if "cannot be used" in text else "z = (\n"

    async with desk_of(environ, project, answer) as desk:
        done = await desk.draft("{dir}/{name}", "Rename.", ["a.py", "c.py"], each_file=True, overwrite=True)
    assert "leave everything as it is" in desk.prompts[0]
    assert (project / "a.py").read_text() == (project / "c.py").read_text() == "z = 3\n"
    assert len(desk.prompts) == 4
    assert not done.failed


async def test_a_placeholder_without_each_file_is_refused(environ: dict[str, str], project: Path) -> None:
    async with desk_of(environ, project, lambda text: "x") as desk:
        with pytest.raises(InvalidRequestError, match="each_file=true"):
            await desk.draft("{stem}.md", "Describe.", "a.py")
    assert desk.prompts == []


@pytest.mark.parametrize("flag", ["each_file", "split"])
async def test_flags_about_files_without_files_are_refused(environ: dict[str, str], project: Path, flag: str) -> None:
    async with desk_of(environ, project, lambda text: "x") as desk:
        with pytest.raises(InvalidRequestError, match=f"{flag}=true is about `files`"):
            await desk.chat("Classify.", None, **{flag: True})
    assert desk.prompts == []


async def test_a_time_limit_without_each_file_is_told_to_have_no_effect(environ: dict[str, str], project: Path) -> None:
    async with desk_of(environ, project, lambda text: "x") as desk:
        assert "max_seconds had no effect" in (await desk.chat("Read.", "a.py", max_seconds=5.0)).head


async def test_a_second_try_that_fails_leaves_the_first_answer(environ: dict[str, str], project: Path) -> None:
    def answer(text: str) -> str:
        if "cannot be used" in text:
            raise ConnectionError
        return "Fixed it."

    async with desk_of(environ, project, answer) as desk:
        done = await desk.chat("", "a.py", template="commit-message")
    assert done.body == "Fixed it."
    assert "Check the answer" in done.head


async def test_one_file_that_ends_a_call_leaves_the_answers_that_are_on_their_way(
    environ: dict[str, str], project: Path
) -> None:
    names = [f"{number}.txt" for number in range(4)]
    for name in names:
        (project / name).write_text(f"text of {name}\n")

    def answer(text: str) -> str:
        if "text of 0.txt" in text:
            raise ConnectionError
        return "fine"

    async with desk_of(environ, project, answer) as desk:
        done = await desk.chat("Classify.", names, each_file=True)
    assert done.body == "1.txt: fine\n2.txt: fine\n3.txt: fine"
    assert "It ended early" in done.head


async def test_the_results_of_tools_are_answered_with_the_files_and_no_message(
    environ: dict[str, str], project: Path
) -> None:
    call = ToolCall(name="look", arguments={}, id="1")
    history = (
        Message(role="user", content="Look."),
        Message(role="assistant", tool_calls=[call]),
        Message(role="tool", content="It rains.", tool_call_id="1", name="look"),
    )
    async with desk_of(environ, project, lambda text: "Rain.") as desk:
        done = await desk.chat("", "a.py", request=ChatRequest(history, tools=(ToolSpec(name="look"),)))
    assert done.body == "Rain."
    turns = next(one.body for one in desk.server.received if one.method == "POST")["messages"]
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "tool"]


async def test_a_long_text_is_read_in_parts_without_thinking_or_tools_and_with_the_history(
    environ: dict[str, str], project: Path
) -> None:
    (project / "long.txt").write_text("".join(f"{number} a line of prose\n\n" for number in range(600)))

    def answer(text: str) -> str:
        return "All of it." if "was read in parts" in text else "NONE" if '"part": "2 of' in text else "line 7: a fact"

    history = (Message(role="user", content="I care about rain."), Message(role="assistant", content="Noted."))
    request = ChatRequest(history, tools=(ToolSpec(name="look"),), thinking=True)
    async with desk_of(environ, project, answer, window=WINDOW) as desk:
        done = await desk.chat("What is it about?", "long.txt", split=True, request=request)
    assert done.body == "All of it."
    assert all("I care about rain." in prompt for prompt in desk.prompts)
    *parts, last = [one.body for one in desk.server.received if one.method == "POST"]
    assert len(parts) > 2
    assert all("tools" not in part and part["max_tokens"] == 400 for part in parts)
    assert "tools" in last
    assert f"{len(parts)}/{len(parts)} parts" in [str(step).partition(",")[0] for step in desk.seen]


async def test_a_list_of_parts_one_of_which_was_cut_off_is_no_whole_answer(
    environ: dict[str, str], project: Path
) -> None:
    (project / "long.txt").write_text("".join(f"{number} a line of prose\n\n" for number in range(600)))

    def answer(text: str) -> str:
        return "1 a[cut]" if '"part": "1 of' in text else "2 b"

    async with desk_of(environ, project, answer, window=WINDOW) as desk:
        done = await desk.chat("List the lines.", "long.txt", split=True)
        assert done.result.finish_reason == "length"
        with pytest.raises(FileAccessError, match="cut off"):
            await desk.draft("list.txt", "List the lines.", "long.txt", split=True)


async def test_a_file_and_its_staged_change_are_two_rows(environ: dict[str, str], project: Path) -> None:
    for command in (["init", "-q"], ["add", "a.py"]):
        subprocess.run(["git", *command], cwd=project, check=True)

    def answer(text: str) -> str:
        return "change" if "+def f" in text else "file"

    async with desk_of(environ, project, answer) as desk:
        done = await desk.chat("What is it?", ["git:staged", "a.py"], each_file=True)
    assert len(desk.prompts) == 2
    assert sorted(row.rpartition(": ")[2] for row in done.body.splitlines()) == ["change", "file"]


async def test_halves_of_surrogate_pairs_and_odd_paths_are_refused_or_kept(
    environ: dict[str, str], project: Path
) -> None:
    async with desk_of(environ, project, lambda text: "fine\n") as desk:
        for path in ("\ud800.txt", "x" * 300 + ".txt", "a\0b", "link/x" * 2000):
            with pytest.raises(LocalLLMError):
                await desk.draft(path, "Write.")
        done = await desk.chat("Say \ud800.", ["a.py"], each_file=True)
    assert json.dumps(done.body)


async def test_many_guessed_encodings_leave_room_in_the_answer(environ: dict[str, str], project: Path) -> None:
    for number in range(40):
        (project / f"{number:03}.txt").write_bytes(b"caf\xe9 " + str(number).encode())
    async with desk_of(environ, project, lambda text: "fine") as desk:
        done = await desk.chat("Classify.", "*.txt", each_file=True)
    assert len(done.head) < 1024


async def test_a_draft_without_files_that_does_not_pay_names_no_reading(environ: dict[str, str], project: Path) -> None:
    async with desk_of(environ, project, lambda text: "x\n") as desk:
        done = await desk.draft("x.txt", "Write the letter x. " * 20)
    assert done.saved.saved < 0
    assert "Read is cheaper" not in done.head


async def test_a_server_that_tells_no_window_gets_smaller_parts_until_one_fits(
    environ: dict[str, str], project: Path
) -> None:
    (project / "long.txt").write_text("".join(f"{number} a line of prose\n\n" for number in range(3000)))

    def answer(text: str) -> str:
        if len(text) > 9000:
            raise Overflow
        return "All of it." if "was read in parts" in text else "line 7: a fact"

    async with desk_of(environ, project, answer) as desk:
        done = await desk.chat("What is it about?", "long.txt", split=True)
        each = await desk.chat("What is it about?", ["long.txt", "a.py"], split=True, each_file=True)
    assert done.body == "All of it."
    assert each.body == "long.txt: All of it.\na.py: line 7: a fact"


async def test_a_full_queue_is_waited_for_while_others_of_the_call_are_in_it(
    environ: dict[str, str], project: Path
) -> None:
    refused: list[str] = []

    def answer(text: str) -> str:
        if "return x" not in text and not refused:
            refused.append(text)
            raise Refused
        return "fine"

    async with desk_of(environ, project, answer) as desk:
        done = await desk.chat("Classify.", ["a.py", "b.log"], each_file=True)
    assert done.body == "a.py: fine\nb.log: fine"


async def test_a_call_whose_time_is_up_returns_its_rows_and_the_same_call_does_the_rest(
    environ: dict[str, str], project: Path
) -> None:
    slow = [True]

    def answer(text: str) -> str:
        if "disk full" in text and slow[0]:
            raise Silent
        return "fine"

    async with desk_of(environ, project, answer) as desk:
        first = await desk.chat("Classify.", ["b.log", "a.py"], each_file=True, max_seconds=1.0)
        assert (first.body, first.failed) == ("a.py: fine", False)
        assert "1 not begun" in first.head
        slow[0] = False
        asked = len(desk.prompts)
        again = await desk.chat("Classify.", ["b.log", "a.py"], each_file=True, max_seconds=60.0)
        assert len(desk.prompts) == asked + 1
    assert again.body == "b.log: fine\na.py: fine"


async def test_ranges_of_one_file_are_rows_of_their_own_and_repeats_are_read_once(
    environ: dict[str, str], project: Path
) -> None:
    async with desk_of(environ, project, lambda text: "code" if "def f" in text else "body") as desk:
        done = await desk.chat("What?", ["a.py:1", "a.py:2", "./a.py:1", "a.py#L2"], each_file=True)
    assert done.body == "a.py:1-1: code\na.py:2-2: body"


async def test_a_file_of_rows_holds_no_failure_and_its_repeat_is_refused(
    environ: dict[str, str], project: Path
) -> None:
    def answer(text: str) -> str:
        return "half[cut]" if "disk full" in text else "fine"

    async with desk_of(environ, project, answer) as desk:
        done = await desk.draft("rows.jsonl", "Classify.", ["a.py", "gone", "b.log"], each_file=True)
        assert [row.partition(": ")[2].partition(":")[0] for row in done.body.splitlines()] == [
            "ERROR missing",
            "ERROR truncated",
        ]
        with pytest.raises(FileAccessError, match="overwrite=true"):
            await desk.draft("rows.jsonl", "Classify.", ["a.py", "gone", "b.log"], each_file=True)
    assert (project / "rows.jsonl").read_text() == '{"file": "a.py", "answer": "fine"}\n'


async def test_versions_come_back_one_after_the_other(environ: dict[str, str], project: Path) -> None:
    texts = iter(["one\n", "two\n", "three\n"])
    async with desk_of(environ, project, lambda text: next(texts)) as desk:
        for _ in range(3):
            await desk.draft("c.txt", "Write.", overwrite=True)
        await desk.draft("c.txt", restore=True)
        assert (project / "c.txt").read_text() == "two\n"
        await desk.draft("c.txt", restore=True)
        assert (project / "c.txt").read_text() == "one\n"
        with pytest.raises(FileAccessError):
            await desk.draft("c.txt", restore=True)


async def test_a_deeply_nested_answer_does_not_keep_its_check_busy_for_minutes(
    environ: dict[str, str], project: Path
) -> None:
    async with desk_of(environ, project, lambda text: "[" * 20_000) as desk:
        done = await desk.draft("deep.yaml", "Write.")
    assert "nested too deeply" in done.head


async def test_what_the_checks_of_an_answer_found_is_told(environ: dict[str, str], project: Path) -> None:
    def answer(text: str) -> str:
        return "Keep f whole" if "cannot be used" in text or "b.log" in text else "Fixed it"

    async with desk_of(environ, project, answer) as desk:
        again = await desk.chat("", "a.py", template="commit-message")
        first = await desk.chat("", "b.log", template="commit-message")
        rows = await desk.chat("", ["a.py", "b.log"], template="commit-message", each_file=True)
        draft = await desk.draft("subject.txt", "", "a.py", template="commit-message")
    assert again.body == "Keep f whole"
    assert "passed its checks (commit-message) at the second try; the first had a fault: 'fixed' is not" in again.head
    assert "The answer passed its checks (commit-message)." in first.head
    assert "2 answers passed their checks, 1 at the second try." in rows.head
    assert "This is the second try; the first had a fault: 'fixed' is not imperative" in draft.head


async def test_a_draft_that_does_not_parse_is_asked_for_again_as_the_file_that_it_becomes(
    environ: dict[str, str], project: Path
) -> None:
    def answer(text: str) -> str:
        return "def test_f():\n    pass" if "cannot be used" in text else "def test_f(:\n    pass"

    async with desk_of(environ, project, answer) as desk:
        done = await desk.draft("test_a.py", "", "a.py", template="tests")
        plain = await desk.draft("plain.py", "Write it.")
    assert (project / "test_a.py").read_text() == (project / "plain.py").read_text() == "def test_f():\n    pass\n"
    for told in (done, plain):
        assert "This is the second try; the first had a fault: it does not parse" in told.head, told.head
