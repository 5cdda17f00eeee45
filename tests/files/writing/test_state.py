"""The state folder: private, bounded, cleanable; and the rows of a call that ended early."""

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcp_local_llm.files.writing import state as bounds
from mcp_local_llm.files.writing.journal import Journal, JournalRow, call_key, content_digest
from mcp_local_llm.files.writing.state import ANSWERS, CALLS, StateFolder, StateSize
from mcp_local_llm.values.errors import FileAccessError

NOW = time.time()
DAY = 24 * 3600.0
KEY = call_key({"model": "m", "question": "q", "files": ["a", "b"]})


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state" / "mcp-local-llm", lambda: NOW)


def aged(path: Path, days: float) -> Path:
    os.utime(path, (NOW - days * DAY, NOW - days * DAY))
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_this_user_can_read_what_is_kept(state: StateFolder) -> None:
    before = os.umask(0)
    try:
        kept = state.keep_answer("../../etc/passwd\n", "text")
    finally:
        os.umask(before)
    assert (mode(kept), mode(kept.parent), mode(state.path)) == (0o600, 0o700, 0o700)
    assert kept.parent == state.path / ANSWERS
    assert kept.read_text() == "text"


def test_a_state_folder_that_others_may_enter_is_closed_to_them(state: StateFolder) -> None:
    state.path.mkdir(parents=True, mode=0o755)
    (state.path / ANSWERS).mkdir(mode=0o777)
    state.keep_answer("a", "text")
    assert (mode(state.path), mode(state.path / ANSWERS)) == (0o700, 0o700)


@pytest.mark.fault(
    "A second user of the machine",
    "a link in place of a folder in the state folder",
    promised="refused; nothing is written through it",
    tries=1,
)
def test_a_link_in_place_of_a_section_is_not_followed(state: StateFolder, tmp_path: Path) -> None:
    state.path.mkdir(parents=True)
    (state.path / ANSWERS).symlink_to(tmp_path)
    with pytest.raises(FileAccessError) as caught:
        state.keep_answer("a", "text")
    assert caught.value.kind == "state"


def test_a_state_folder_that_cannot_be_made_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileAccessError, match="XDG_STATE_HOME"):
        StateFolder(tmp_path / "file" / "state").keep_answer("a", "text")


def test_files_older_than_thirty_days_go(state: StateFolder) -> None:
    old, young = (aged(state.keep_answer(name, name), days) for name, days in (("old", 0), ("young", 29.9)))
    aged(old, 30.1)
    newest = state.keep_answer("newest", "x")
    assert not old.exists()
    assert young.exists()
    assert newest.exists()


def test_beyond_the_bytes_the_oldest_files_go_and_never_the_newest(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MAX_BYTES", 100)
    kept = [aged(state.keep_answer(f"{day}", "x" * 40), day) for day in (1, 3)]
    last = aged(state.keep_answer("last", "x" * 40), 9)
    assert [path.exists() for path in (*kept, last)] == [True, False, True]
    with pytest.raises(FileAccessError):
        state.keep_answer("large", "x" * 101)


def test_size_and_clean_count_what_is_kept_and_leave_other_state_alone(state: StateFolder) -> None:
    assert (state.size(), state.clean()) == (StateSize(0, 0), StateSize(0, 0))
    assert not state.path.exists()
    state.keep_answer("a", "12345")
    Journal(state, KEY).close()
    (state.path / "speeds.json").write_text("{}")
    assert state.size() == StateSize(2, 5)
    assert state.clean() == StateSize(2, 5)
    assert state.size() == StateSize(0, 0)
    assert (state.path / "speeds.json").exists()


def test_a_call_that_ended_early_goes_on_where_it_was(state: StateFolder) -> None:
    first = Journal(state, KEY)
    first.add(JournalRow("a.py", content_digest("A"), "one\ntwo"))
    first.close()
    again = Journal(state, KEY)
    assert again.taken_up("a.py", content_digest("A")) == "one\ntwo"
    assert again.taken_up("a.py", content_digest("changed")) is None
    assert again.taken_up("b.py", content_digest("A")) is None
    again.add(JournalRow("b.py", content_digest("B"), "three"))
    again.close()
    third = Journal(state, KEY)
    assert [third.taken_up(name, content_digest(name[0].upper())) for name in ("a.py", "b.py")] == ["one\ntwo", "three"]
    third.finish()
    assert Journal(state, KEY).taken_up("a.py", content_digest("A")) is None


def test_a_file_that_the_call_itself_rewrote_counts_as_done(state: StateFolder) -> None:
    journal = Journal(state, KEY)
    journal.add(JournalRow("a.py", content_digest(b"before"), "answer", made=content_digest(b"after")))
    assert journal.taken_up("a.py", content_digest(b"after")) == "answer"
    assert journal.taken_up("a.py", content_digest(b"before")) == "answer"
    assert journal.taken_up("a.py", content_digest(b"edited")) is None


def test_another_call_has_other_rows(state: StateFolder) -> None:
    parts: dict[str, object] = {
        "model": "m",
        "question": "q",
        "template": None,
        "schema": {"a": 1},
        "sampling": {"temperature": 0},
    }
    changes: list[dict[str, object]] = [
        *({}, {"model": "n"}, {"question": "r"}, {"template": "extract"}, {"schema": None}, {"sampling": {}}),
    ]
    keys = {call_key(parts | change) for change in changes}
    assert len(keys) == 6
    assert call_key({"b": 1, "a": 2}) == call_key({"a": 2, "b": 1})


def test_rows_are_taken_up_within_a_day(state: StateFolder) -> None:
    for hours, answer in ((23.9, "one"), (24.1, None)):
        journal = Journal(state, KEY)
        journal.add(JournalRow("a", "d", "one"))
        journal.close()
        aged(next((state.path / CALLS).glob("*")), hours / 24)
        again = Journal(state, KEY)
        assert again.taken_up("a", "d") == answer
        again.finish()


def test_two_equal_calls_at_once_have_rows_of_their_own(state: StateFolder) -> None:
    one, two = Journal(state, KEY), Journal(state, KEY)
    one.add(JournalRow("a", "d", "one"))
    two.add(JournalRow("a", "d", "two"))
    two.finish()
    one.close()
    assert Journal(state, KEY).taken_up("a", "d") == "one"


def test_rows_on_disk_survive_kill_9_and_a_line_that_was_cut(state: StateFolder) -> None:
    program = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from mcp_local_llm.files.writing.journal import Journal, JournalRow\n"
        "from mcp_local_llm.files.writing.state import StateFolder\n"
        "journal = Journal(StateFolder(Path(sys.argv[1])), sys.argv[2])\n"
        "for number in range(3): journal.add(JournalRow(str(number), 'd', f'answer {number}'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, state.path, KEY], timeout=60)
    assert ended.returncode == -9
    (path,) = (state.path / CALLS).iterdir()
    assert mode(path) == 0o600
    with path.open("ab") as file:
        file.write(json.dumps(["3", "d", "answer 3", ""]).encode()[:-4])
    aged(path, 0.1)
    journal = Journal(state, KEY)
    assert [journal.taken_up(str(number), "d") for number in range(4)] == ["answer 0", "answer 1", "answer 2", None]
    journal.add(JournalRow("3", "d", "anew"))
    journal.close()
    assert Journal(state, KEY).taken_up("3", "d") == "anew"
