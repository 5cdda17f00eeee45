"""Drafts of many files in one call, and the same call after an early end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_local_llm.files.writing.draft_batch import DraftBatch, Place, RowsBatch
from mcp_local_llm.files.writing.drafts import Drafts
from mcp_local_llm.files.writing.journal import Journal, content_digest
from mcp_local_llm.files.writing.state import StateFolder
from mcp_local_llm.values.chat import ChatResult, FinishReason, Timings, Usage
from mcp_local_llm.values.errors import FileAccessError

KEY = "call"


def no_secret(path: Path) -> None:
    """Refuse what the roots' rules refuse."""
    if path.name.casefold().startswith(".env"):
        raise FileAccessError(f"{path} is a secret by its name.", "secret")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = Path(os.path.realpath(tmp_path)) / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def drafts(root: Path) -> Drafts:
    return Drafts((root,), no_secret, StateFolder(root.parent / "state"))


def result(text: str, finish: FinishReason = "stop") -> ChatResult:
    return ChatResult(text, "", (), finish, "tiny", Usage(), Timings())


def places(root: Path, *names: str, ending: str = ".md") -> list[Place]:
    for name in names:
        if not (root / name).exists():
            (root / name).write_text(f"source {name}\n")
    return [
        Place(
            name,
            content_digest((root / name).read_bytes()),
            (root / name).with_suffix(ending) if ending else root / name,
        )
        for name in names
    ]


def test_each_answer_becomes_its_file_and_a_row(drafts: Drafts, root: Path) -> None:
    journal = Journal(drafts.state, KEY)
    batch = DraftBatch(drafts, journal, places(root, "a.py", "b.py", "c.py"), overwrite=False)
    assert batch.pending == ("a.py", "b.py", "c.py")
    batch.write("b.py", result("two"))
    batch.write("a.py", result("one"))
    batch.fail("c.py", "cancelled", "call again")
    assert [(row.path, row.error) for row in batch.rows] == [("a.py", ""), ("b.py", ""), ("c.py", "cancelled")]
    assert (root / "a.md").read_text() == "one\n"
    assert [row.answer for row in batch.rows] == ["a.md: new, 4 bytes, 1 line.", "b.md: new, 4 bytes, 1 line.", ""]


def test_a_place_that_will_not_do_is_a_row_before_anything_is_computed(drafts: Drafts, root: Path) -> None:
    (root / "a.md").write_text("there")
    wanted = [*places(root, "a.py", "b.py"), Place("c.py", "", root / ".git/hooks/x"), Place("d.py", "", root / ".env")]
    batch = DraftBatch(drafts, Journal(drafts.state, KEY), wanted, overwrite=False)
    assert batch.pending == ("b.py",)
    assert [row.error for row in batch.rows] == ["exists", "protected", "secret"]
    assert (root / "a.md").read_text() == "there"


def test_an_answer_that_is_cut_off_is_a_row_and_is_computed_anew_later(drafts: Drafts, root: Path) -> None:
    journal = Journal(drafts.state, KEY)
    row = DraftBatch(drafts, journal, places(root, "a.py"), overwrite=False).write("a.py", result("half", "length"))
    assert row.error == "truncated"
    journal.close()
    assert DraftBatch(drafts, Journal(drafts.state, KEY), places(root, "a.py"), overwrite=False).pending == ("a.py",)
    assert not (root / "a.md").exists()


def test_the_same_call_does_only_what_is_missing(drafts: Drafts, root: Path) -> None:
    journal = Journal(drafts.state, KEY)
    batch = DraftBatch(drafts, journal, places(root, "a.py", "b.py", "c.py"), overwrite=False)
    batch.write("a.py", result("one"))
    batch.write("b.py", result("two"))
    journal.close()
    (root / "b.md").unlink()  # The answer is in the journal; its file was not written any more.
    (root / "a.py").write_text("source a.py\n")
    again = Journal(drafts.state, KEY)
    batch = DraftBatch(drafts, again, places(root, "a.py", "b.py", "c.py"), overwrite=False)
    assert batch.pending == ("c.py",)
    assert [(row.path, row.taken_up, row.error) for row in batch.rows] == [("a.py", True, ""), ("b.py", True, "")]
    assert (root / "b.md").read_text() == "two\n"
    batch.write("c.py", result("three"))
    again.finish()
    anew = DraftBatch(drafts, Journal(drafts.state, KEY), places(root, "a.py", "c.py"), overwrite=True)
    assert anew.pending == ("a.py", "c.py")


def test_a_source_that_changed_is_computed_anew(drafts: Drafts, root: Path) -> None:
    journal = Journal(drafts.state, KEY)
    batch = DraftBatch(drafts, journal, places(root, "a.py", "b.py"), overwrite=True)
    batch.write("a.py", result("one"))
    batch.write("b.py", result("two"))
    journal.close()
    (root / "a.py").write_text("changed")
    assert DraftBatch(drafts, Journal(drafts.state, KEY), places(root, "a.py", "b.py"), overwrite=True).pending == (
        "a.py",
    )


def test_edits_of_the_sources_themselves_are_not_made_twice(drafts: Drafts, root: Path) -> None:
    journal = Journal(drafts.state, KEY)
    batch = DraftBatch(drafts, journal, places(root, "a.txt", "b.txt", ending=""), overwrite=True)
    batch.write("a.txt", result("edited a"))
    journal.close()
    again = DraftBatch(drafts, Journal(drafts.state, KEY), places(root, "a.txt", "b.txt", ending=""), overwrite=True)
    assert again.pending == ("b.txt",)
    assert (root / "a.txt").read_text() == "edited a\n"


def test_a_row_that_was_edited_by_the_user_meanwhile_is_not_overwritten_unasked(drafts: Drafts, root: Path) -> None:
    journal = Journal(drafts.state, KEY)
    DraftBatch(drafts, journal, places(root, "a.py"), overwrite=False).write("a.py", result("one"))
    journal.close()
    (root / "a.md").write_text("the user's")
    batch = DraftBatch(drafts, Journal(drafts.state, KEY), places(root, "a.py"), overwrite=False)
    assert [row.error for row in batch.rows] == ["exists"]
    assert (root / "a.md").read_text() == "the user's"


def test_a_call_over_forty_files_that_is_killed_is_finished_by_the_same_call(drafts: Drafts, root: Path) -> None:
    names = [f"{number}.py" for number in range(40)]
    wanted = places(root, *names)
    program = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from mcp_local_llm.files.writing.draft_batch import DraftBatch, Place\n"
        "from mcp_local_llm.files.writing.drafts import Drafts\n"
        "from mcp_local_llm.files.writing.journal import Journal, content_digest\n"
        "from mcp_local_llm.files.writing.state import StateFolder\n"
        "from mcp_local_llm.values.chat import ChatResult, Timings, Usage\n"
        "root = Path(sys.argv[1])\nstate = StateFolder(root.parent / 'state')\n"
        "names = [f'{number}.py' for number in range(40)]\n"
        "places = [Place(n, content_digest((root / n).read_bytes()), (root / n).with_suffix('.md')) for n in names]\n"
        "drafts = Drafts((root,), lambda _: None, state)\n"
        "batch = DraftBatch(drafts, Journal(state, 'call'), places, overwrite=False)\n"
        "for name in names[:17]:\n"
        "    batch.write(name, ChatResult(name * 999, '', (), 'stop', 'tiny', Usage(), Timings()))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, root], timeout=60).returncode == -9
    (root / "16.md").unlink()
    journal = Journal(drafts.state, KEY)
    batch = DraftBatch(drafts, journal, wanted, overwrite=False)
    assert batch.pending == tuple(names[17:])
    for name in batch.pending:
        batch.write(name, result(name * 999))
    journal.finish()
    assert all((root / name).with_suffix(".md").read_text() == name * 999 + "\n" for name in names)
    assert sum(row.taken_up for row in batch.rows) == 17


def rows_batch(drafts: Drafts, journal: Journal, sources: dict[str, str], *, as_json: bool = False) -> RowsBatch:
    return RowsBatch(drafts.look_at(drafts.roots[0] / "out.jsonl"), journal, sources, as_json=as_json, overwrite=False)


def written(root: Path) -> list[object]:
    return [json.loads(line) for line in (root / "out.jsonl").read_text().splitlines()]


def test_answers_become_rows_of_one_file_as_they_come(drafts: Drafts, root: Path) -> None:
    batch = rows_batch(drafts, Journal(drafts.state, KEY), {"a.py": "1", "b.py": "2", "c.py": "3"}, as_json=True)
    assert batch.write("b.py", result('{"kind": "x"}')).error == ""
    assert batch.write("a.py", result('{"kind": ')).error == "incomplete"
    assert batch.write("c.py", result('{"kind": "y"}', "length")).error == "truncated"
    report = batch.close()
    assert written(root) == [{"file": "b.py", "answer": {"kind": "x"}}]
    assert report.head == f"{root}/out.jsonl: 42 bytes, 1 line, one for each answer."
    assert [(row.path, row.error) for row in batch.rows] == [
        ("a.py", "incomplete"),
        ("b.py", ""),
        ("c.py", "truncated"),
    ]


def test_the_same_call_adds_to_its_own_rows_and_drops_those_of_changed_files(drafts: Drafts, root: Path) -> None:
    sources = {"a.py": "1", "b.py": "2", "c.py": "3"}
    again: tuple[dict[str, str], tuple[str, ...]] = ({"a.py": "new"}, ("a.py", "c.py"))
    turns: list[tuple[dict[str, str], tuple[str, ...]]] = [({}, ("a.py", "b.py", "c.py")), again, again]
    for turn, (changed, pending) in enumerate(turns):
        journal = Journal(drafts.state, KEY)
        batch = rows_batch(drafts, journal, sources | changed)
        assert batch.pending == pending
        if turn == 0:
            batch.write("a.py", result("one"))
            batch.write("b.py", result("two\nlines"))
        batch.close()
        journal.close()
    assert written(root) == [{"file": "b.py", "answer": "two\nlines"}]
    journal = Journal(drafts.state, KEY)
    batch = rows_batch(drafts, journal, sources | {"a.py": "new"})
    batch.write("a.py", result("three"))
    batch.write("c.py", result("four"))
    journal.finish()
    assert written(root) == [
        {"file": "b.py", "answer": "two\nlines"},
        {"file": "a.py", "answer": "three"},
        {"file": "c.py", "answer": "four"},
    ]
    with pytest.raises(FileAccessError) as caught:
        rows_batch(drafts, Journal(drafts.state, KEY), sources)
    assert caught.value.kind == "exists"
