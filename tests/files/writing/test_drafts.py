"""Answers become files, and nothing is lost on the way."""

import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_local_llm.files.writing.drafts import Drafts
from mcp_local_llm.files.writing.rows_file import RowsFile
from mcp_local_llm.files.writing.state import ANSWERS, VERSIONS, StateFolder
from mcp_local_llm.values.chat import ChatResult, Timings, Usage
from mcp_local_llm.values.errors import FileAccessError

OLD = "".join(f"value_{number} = {number}\n" for number in range(20))
WHOLE = ChatResult("x = 1", "", (), "stop", "tiny", Usage(), Timings())


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


def refusal(act: object, *arguments: object, **options: object) -> FileAccessError:
    assert callable(act)
    with pytest.raises(FileAccessError) as caught:
        act(*arguments, **options)
    return caught.value


def kept(drafts: Drafts, section: str) -> list[str]:
    folder = drafts.state.path / section
    return sorted(path.read_text() for path in folder.iterdir()) if folder.exists() else []


def test_a_new_file_is_written_and_told_in_a_few_lines(drafts: Drafts, root: Path) -> None:
    report = drafts.begin(root / "src/a.py").write(f"```python\n{OLD}```")
    assert (root / "src/a.py").read_text() == OLD
    assert report.head == f"{root}/src/a.py: new, {len(OLD)} bytes, 20 lines."
    assert report.excerpt.split("\n")[4:] == ["value_4 = 4", "[13 more lines]", "value_18 = 18", "value_19 = 19"]
    assert (report.warnings, report.more, kept(drafts, VERSIONS)) == ((), "", [])


def test_an_existing_file_is_refused_before_the_model_begins(drafts: Drafts, root: Path) -> None:
    (root / "a.py").write_text(OLD)
    error = refusal(drafts.begin, root / "a.py")
    assert (error.kind, "overwrite=true" in str(error)) == ("exists", True)


def test_an_overwrite_tells_the_difference_and_keeps_the_old_version(drafts: Drafts, root: Path) -> None:
    path = root / "a.py"
    path.write_bytes(OLD.replace("\n", "\r\n").encode("utf-8-sig"))
    path.chmod(0o750)
    report = drafts.begin(path, overwrite=True).write(OLD.replace("value_3 = 3", "value_3 = 33"))
    assert path.read_bytes() == OLD.replace("value_3 = 3", "value_3 = 33").replace("\n", "\r\n").encode("utf-8-sig")
    assert path.stat().st_mode & 0o777 == 0o750
    (old_version,) = (drafts.state.path / VERSIONS).iterdir()
    assert report.head == (
        f"{path}: +1 -1 lines, now {len(OLD) + 24} bytes, 20 lines. The old version is kept in {old_version}; "
        "restore=true brings it back."
    )
    assert "\n-value_3 = 3\n+value_3 = 33\n" in report.excerpt
    assert old_version.read_bytes() == OLD.replace("\n", "\r\n").encode("utf-8-sig")


def test_an_answer_that_changes_nothing_writes_nothing(drafts: Drafts, root: Path) -> None:
    (root / "a.py").write_text(OLD)
    before = (root / "a.py").stat()
    assert "unchanged" in drafts.begin(root / "a.py", overwrite=True).write(OLD.strip()).head
    assert (root / "a.py").stat() == before
    assert kept(drafts, VERSIONS) == []


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (OLD.replace("value_3 = 3", "value_3 = = 3"), "does not parse as Python"),
        ("value_0 = 0\n", "much shorter: 1 of 20 lines"),
        (f"{OLD}# ... rest of the code unchanged", "leaves parts out"),
        (f"Here it is:\n```python\n{OLD}x = 1\n```", "left out"),
    ],
)
def test_what_looks_wrong_is_a_warning(drafts: Drafts, root: Path, answer: str, part: str) -> None:
    (root / "a.py").write_text(OLD)
    assert part in " ".join(drafts.begin(root / "a.py", overwrite=True).write(answer).warnings)


def test_a_file_that_never_parsed_is_not_blamed_on_the_answer(drafts: Drafts, root: Path) -> None:
    (root / "tsconfig.json").write_text('{"a": 1, // note\n}\n')
    assert drafts.begin(root / "tsconfig.json", overwrite=True).write('{"a": 2, // note\n}').warnings == ()


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (replace(WHOLE, finish_reason="length"), "truncated"),
        (replace(WHOLE, finish_reason="length", looped=True), "looped"),
        (replace(WHOLE, schema_met=False), "schema"),
        (replace(WHOLE, thinking_closed=False), "truncated"),
    ],
)
@pytest.mark.parametrize("old", [None, OLD])
def test_an_answer_that_is_cut_off_is_never_written_but_kept(
    drafts: Drafts, root: Path, result: ChatResult, kind: str, old: str | None
) -> None:
    if old:
        (root / "a.py").write_text(old)
    error = refusal(drafts.begin(root / "a.py", overwrite=True).finish, result)
    assert error.kind == kind
    assert (root / "a.py").exists() == (old is not None)
    assert not old or (root / "a.py").read_text() == old
    assert kept(drafts, ANSWERS) == ["x = 1"]
    assert str(drafts.state.path / ANSWERS) in str(error)


@pytest.mark.parametrize("answer", ["", "\n", "```python\n```", "  \n "])
def test_an_empty_answer_is_not_written(drafts: Drafts, root: Path, answer: str) -> None:
    assert refusal(drafts.begin(root / "a.py").write, answer).kind == "empty"
    assert [*root.iterdir()] == []


def test_a_whole_answer_is_written(drafts: Drafts, root: Path) -> None:
    drafts.begin(root / "a.py").finish(WHOLE)
    assert (root / "a.py").read_text() == "x = 1\n"


def test_restore_brings_the_versions_back_one_after_the_other(drafts: Drafts, root: Path) -> None:
    path = root / "a.py"
    path.write_bytes(b"x = 1\r\n")
    path.chmod(0o755)
    for number in (2, 3):
        drafts.begin(path, overwrite=True).write(f"x = {number}")
    path.chmod(0o600)
    report = drafts.restore(path)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"x = 2\r\n", 0o755)
    assert "What it replaced is kept in" in report.head
    drafts.restore(path)
    assert path.read_bytes() == b"x = 1\r\n"
    assert kept(drafts, "replaced") == ["x = 2\n", "x = 3\n"]
    assert refusal(drafts.restore, path).kind == "no-version"


def test_a_deleted_file_is_restored_with_its_mode(drafts: Drafts, root: Path) -> None:
    path = root / "sub/a.py"
    path.parent.mkdir()
    path.write_text(OLD)
    path.chmod(0o640)
    drafts.begin(path, overwrite=True).write("x = 1")
    path.unlink()
    drafts.restore(path)
    assert (path.read_text(), path.stat().st_mode & 0o777) == (OLD, 0o640)


def test_restore_obeys_the_roots_too(drafts: Drafts, root: Path) -> None:
    assert refusal(drafts.restore, root.parent / "elsewhere.py").kind == "outside"
    assert refusal(drafts.restore, root / ".git/config").kind == "protected"


@pytest.mark.fault(
    "Disks and folders",
    "the disk is full at the file of a draft",
    "the old file stays, and nothing half written is left",
)
@pytest.mark.parametrize("old", [None, OLD])
def test_on_a_full_disk_the_old_file_stays_whole(drafts: Drafts, root: Path, old: str | None, attempt: int) -> None:
    if old:
        (root / "a.py").write_text(old)
    draft = drafts.begin(root / "a.py", overwrite=True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        error = refusal(draft.write, OLD * 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.kind == "disk"
    assert "could not be kept" in str(error)
    assert [path.name for path in root.iterdir()] == (["a.py"] if old else [])
    assert not old or (root / "a.py").read_text() == old
    assert kept(drafts, VERSIONS) == []


def test_nothing_is_replaced_where_the_old_version_cannot_be_kept(root: Path) -> None:
    (root / "a.py").write_text(OLD)
    (root.parent / "file").write_text("")
    drafts = Drafts((root,), no_secret, StateFolder(root.parent / "file/state"))
    assert refusal(drafts.begin(root / "a.py", overwrite=True).write, "x = 1").kind == "state"
    assert (root / "a.py").read_text() == OLD


def test_an_answer_that_comes_too_late_is_kept(drafts: Drafts, root: Path) -> None:
    draft = drafts.begin(root / "a.py")
    (root / "a.py").write_text("the user's")
    error = refusal(draft.write, "x = 1")
    assert (error.kind, (root / "a.py").read_text(), kept(drafts, ANSWERS)) == ("exists", "the user's", ["x = 1"])


def test_a_file_that_the_same_call_wrote_is_recognised(drafts: Drafts, root: Path) -> None:
    answer = "```python\nx = 1\n```"
    assert not drafts.look_at(root / "a.py").holds(answer)
    drafts.begin(root / "a.py").write(answer)
    assert drafts.look_at(root / "a.py").holds(answer)
    assert not drafts.look_at(root / "a.py").holds("x = 2")


def test_a_file_that_holds_a_secret_is_not_replaced_because_the_diff_would_tell_it(drafts: Drafts, root: Path) -> None:
    (root / "notes.txt").write_text("-----BEGIN PRIVATE KEY-----\n")
    error = refusal(drafts.begin, root / "notes.txt", overwrite=True)
    assert (error.kind, "BEGIN" in str(error)) == ("secret", False)


def test_a_binary_file_is_not_replaced(drafts: Drafts, root: Path) -> None:
    (root / "a.bin").write_bytes(b"\0\1\2")
    assert refusal(drafts.begin, root / "a.bin", overwrite=True).kind == "binary"


def test_an_answer_names_its_fault_for_a_second_try(drafts: Drafts, root: Path) -> None:
    draft = drafts.begin(root / "a.py")
    assert draft.fault("```python\nx = 1\n```") == ""
    assert "line 1" in draft.fault("x = = 1")


def row(number: int) -> str:
    return json.dumps({"file": f"{number}.py", "answer": "x" * 100})


def test_rows_are_added_as_they_come_and_the_same_call_goes_on(drafts: Drafts, root: Path) -> None:
    path = root / "out/rows.jsonl"
    first = RowsFile(drafts.look_at(path))
    for number in range(3):
        first.append(row(number))
    first.close()
    path.write_bytes(path.read_bytes()[:-20])
    earlier = [row(number) for number in range(3)]
    again = RowsFile(drafts.look_at(path), earlier, earlier)
    again.append(row(3))
    again.close()
    again.close()
    assert path.read_text().splitlines() == [row(number) for number in range(4)]


def test_rows_of_another_call_are_not_touched_without_overwrite(drafts: Drafts, root: Path) -> None:
    path = root / "rows.jsonl"
    path.write_text(row(7) + "\n")
    assert refusal(RowsFile, drafts.look_at(path)).kind == "exists"
    assert refusal(RowsFile, drafts.look_at(path), [row(1)], [row(1)]).kind == "exists"
    assert path.read_text() == row(7) + "\n"
    RowsFile(drafts.look_at(path), overwrite=True).append(row(8))
    assert path.read_text() == row(8) + "\n"
    assert kept(drafts, VERSIONS) == [row(7) + "\n"]


@pytest.mark.fault(
    "Disks and folders", "the disk is full at a row of a draft over many files", "the other rows are whole"
)
def test_a_row_that_does_not_fit_on_the_disk_leaves_the_others_whole(drafts: Drafts, root: Path, attempt: int) -> None:
    rows = RowsFile(drafts.look_at(root / "rows.jsonl"))
    rows.append(row(0))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        error = refusal(rows.append, row(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.kind == "disk"
    rows.append(row(2))
    rows.close()
    assert (root / "rows.jsonl").read_text().splitlines() == [row(0), row(2)]


def test_a_name_that_is_swapped_for_a_link_gets_no_row(drafts: Drafts, root: Path) -> None:
    rows = RowsFile(drafts.look_at(root / "rows.jsonl"))
    rows.append(row(0))
    outside = root.parent / "outside"
    outside.write_text("theirs")
    (root / "rows.jsonl").unlink()
    (root / "rows.jsonl").symlink_to(outside)
    rows.append(row(1))
    rows.close()
    assert outside.read_text() == "theirs"


def test_a_file_of_rows_is_made_with_its_first_row(drafts: Drafts, root: Path) -> None:
    path = root / "rows.jsonl"
    RowsFile(drafts.look_at(path)).close()
    assert not path.exists()
    path.write_text("theirs\n")
    rows = RowsFile(drafts.look_at(path), overwrite=True)
    assert path.read_text() == "theirs\n"
    assert kept(drafts, VERSIONS) == []
    path.write_text("changed meanwhile\n")
    assert refusal(rows.append, row(0)).kind == "changed"
    assert kept(drafts, VERSIONS) == []
    late = RowsFile(drafts.look_at(root / "late.jsonl"))
    (root / "late.jsonl").symlink_to(root.parent / "outside")
    assert refusal(late.append, row(0)).kind == "exists"
    assert not (root.parent / "outside").exists()


def test_kill_9_in_the_middle_of_many_drafts_leaves_whole_files_and_the_old_ones(drafts: Drafts, root: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from mcp_local_llm.files.writing.drafts import Drafts\n"
        "from mcp_local_llm.files.writing.state import StateFolder\n"
        "root = Path(sys.argv[1])\n"
        "drafts = Drafts((root,), lambda _: None, StateFolder(root.parent / 'state'))\n"
        "for turn in range(10**6):\n"
        "    for name in range(40):\n"
        "        drafts.begin(root / f'{name}.txt', overwrite=True).write(f'{turn}\\n' * 5000)\n"
        "    print(turn, flush=True)\n"
    )
    (root / "0.txt").write_text("old\n" * 5000)
    with subprocess.Popen([sys.executable, "-c", program, root], stdout=subprocess.PIPE) as writing:
        assert writing.stdout is not None
        writing.stdout.readline()
        writing.send_signal(signal.SIGKILL)
    files = [path for path in root.iterdir() if not path.name.startswith(".")]
    assert len(files) == 40
    assert all(len(set(lines := path.read_text().splitlines())) == 1 and len(lines) == 5000 for path in files)
    drafts.begin(root / "new.txt").write("x")
    assert [path.name for path in root.iterdir() if path.name.startswith(".")] == []


def test_an_answer_with_characters_that_no_text_has_is_refused_by_name(drafts: Drafts, root: Path) -> None:
    error = refusal(drafts.begin(root / "a.txt").write, "a\0b")
    assert error.kind == "binary"
    assert str(root / "a.txt") in str(error)
    assert not (root / "a.txt").exists()


@pytest.mark.parametrize("answer", ["", " \n", "```python\n```", "```"])
def test_an_answer_without_content_is_a_fault_for_a_second_try(drafts: Drafts, root: Path, answer: str) -> None:
    assert drafts.begin(root / "a.py").fault(answer) == "it is empty"
