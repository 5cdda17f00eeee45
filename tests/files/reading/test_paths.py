"""Tricks with paths, on a real file system: each is read, or refused by the kind that it is."""

import os
import socket
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_local_llm.files.reading.reader import file_reader
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.values.errors import FileAccessError, InvalidRequestError
from tests.files.reading.project import PLANTED, Project

Prepare = Callable[[Project], object]
KEY = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{PLANTED}\n"
NFD = unicodedata.normalize("NFD", "Übergröße")
NFC = unicodedata.normalize("NFC", "Übergröße")


def nothing(project: Project) -> None:
    pass


def written(name: str, content: str | bytes = "text\n") -> Prepare:
    return lambda project: project.write(name, content)


def linked(name: str, target: str) -> Prepare:
    return lambda project: project.link(name, target.format(beside=project.beside, home=project.home))


def fifo(project: Project) -> None:
    os.mkfifo(project.folder / "pipe")


def unix_socket(project: Project) -> None:
    before = os.open(".", os.O_RDONLY)
    os.chdir(project.folder)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("sock")
    finally:
        os.fchdir(before)
        os.close(before)


def sparse(name: str, size: int) -> Prepare:
    def make(project: Project) -> None:
        with (project.folder / name).open("wb") as file:
            file.truncate(size)

    return make


def hard_link(name: str, content: str) -> Prepare:
    def make(project: Project) -> None:
        outside = project.beside / "elsewhere"
        outside.write_text(content)
        (project.folder / name).hardlink_to(outside)

    return make


def bare_repository(project: Project) -> None:
    project.git("init", "--bare", "backup")


def both(*steps: Prepare) -> Prepare:
    return lambda project: [step(project) for step in steps]


TRICKS: list[tuple[str, Prepare, str]] = [
    # Names as they are.
    ("a.py", nothing, "one\ntwo\nthree\nfour\nfive\n"),
    ("./a.py", nothing, "one\ntwo\nthree\nfour\nfive\n"),
    ("src/../a.py", nothing, "one\ntwo\nthree\nfour\nfive\n"),
    ("src//app.py", nothing, "app\n"),
    ("{folder}/src/app.py", nothing, "app\n"),
    ("{folder}/../project/a.py:1", nothing, "one\n"),
    ("../project/a.py:1", nothing, "one\n"),
    ("a.py:10", written("a.py:10", "its name\n"), "its name\n"),
    ("a.py:2-3", written("a.py:2-3", "its name\n"), "its name\n"),
    ("a.py#L2", written("a.py#L2", "its name\n"), "its name\n"),
    ("a.py:10:2", written("a.py:10", "1\n2\n"), "2\n"),
    ("[id].tsx", both(written("[id].tsx"), written("i.tsx", "other")), "text\n"),
    ("what*.md", both(written("what*.md"), written("whatever.md", "other")), "text\n"),
    ("{{a,b}}.md", both(written("{a,b}.md"), written("a.md", "other")), "text\n"),
    (":colon", written(":colon"), "text\n"),
    ("-rf", written("-rf"), "text\n"),
    ("--output=x", written("--output=x"), "text\n"),
    ("~", written("~"), "text\n"),
    ("~/x", written("~/x"), "text\n"),
    ("$HOME", written("$HOME"), "text\n"),
    (" a.py ", written(" a.py "), "text\n"),
    ("x (deleted)", written("x (deleted)"), "text\n"),
    ("two\nlines.txt", written("two\nlines.txt"), "text\n"),
    ("./git:staged", written("git:staged"), "text\n"),
    ("git:staged", written("git:staged"), "text\n"),
    ("./git:staged", nothing, "!missing"),
    (f"{NFC}.txt", written(f"{NFD}.txt"), "text\n"),
    (f"{NFD}.txt", written(f"{NFC}.txt"), "text\n"),
    (f"{NFC}/{NFD}.txt", written(f"{NFD}/{NFC}.txt"), "text\n"),
    (f"{NFC}.txt:1", written(f"{NFD}.txt"), "text\n"),
    (f"{NFC[0]}*.txt", written(f"{NFD}.txt"), "text\n"),
    ("empty.txt", written("empty.txt", ""), ""),
    (".editorconfig", written(".editorconfig"), "text\n"),
    (".github/workflows/ci.yml", written(".github/workflows/ci.yml"), "text\n"),
    # Ranges.
    ("a.py:2-3", nothing, "two\nthree\n"),
    ("a.py:2", nothing, "two\n"),
    ("a.py:L2-L3", nothing, "two\nthree\n"),
    ("a.py#L2-L3", nothing, "two\nthree\n"),
    ("a.py#L2-3", nothing, "two\nthree\n"),
    ("a.py#L2", nothing, "two\n"),
    ("{folder}/a.py:5-900", nothing, "five\n"),
    ("a.py:3-2", nothing, "!range"),
    ("a.py:6-9", nothing, "!range"),
    ("a.py:0", nothing, "!range"),
    ("a.py:0-3", nothing, "!range"),
    ("a.py:2-", nothing, "!range"),
    ("a.py:-2", nothing, "!range"),
    ("a.py:2:7", nothing, "!range"),
    ("a.py:2,4", nothing, "!range"),
    ("a.py:2–4", nothing, "!range"),
    ("a.py:" + "9" * 5000, nothing, "!missing"),
    ("a.py:" + "9" * 500, nothing, "!range"),
    ("a.py:٢", nothing, "!missing"),
    ("empty.txt:1", written("empty.txt", ""), "!range"),
    ("*.py:1-2", nothing, "!range"),
    ("[id].tsx:1", written("[id].tsx"), "text\n"),
    ("nope.py:2", nothing, "!missing"),
    ("src:2", nothing, "!folder"),
    (".env:1", nothing, "!secret"),
    # Outside.
    ("../outside.txt", nothing, "!outside"),
    ("{beside}/outside.txt", nothing, "!outside"),
    ("{beside}/outside.txt:1", nothing, "!outside"),
    ("{beside}/outside.txt:-1", nothing, "!outside"),
    ("{beside}/missing.txt", nothing, "!outside"),
    ("../project-evil/a.py", nothing, "!outside"),
    ("{folder}-evil/a.py", nothing, "!outside"),
    ("{folder}/../outside.txt", nothing, "!outside"),
    ("src/../../outside.txt", nothing, "!outside"),
    ("..", nothing, "!outside"),
    ("/", nothing, "!outside"),
    ("/etc/passwd", nothing, "!outside"),
    ("/etc/passwd:1", nothing, "!outside"),
    ("~/.ssh/id_rsa", nothing, "!outside"),
    ("{home}/.ssh/id_rsa", nothing, "!outside"),
    ("notes.txt", linked("notes.txt", "../outside.txt"), "!outside"),
    ("notes.txt", linked("notes.txt", "{beside}/outside.txt"), "!outside"),
    ("notes.txt", both(linked("notes.txt", "more.txt"), linked("more.txt", "../outside.txt")), "!outside"),
    ("up/outside.txt", linked("up", ".."), "!outside"),
    ("up/project/a.py:1", linked("up", ".."), "one\n"),
    ("up/missing.txt", linked("up", ".."), "!outside"),
    ("evil/a.py", linked("evil", "../project-evil"), "!outside"),
    ("root/etc/passwd", linked("root", "/"), "!outside"),
    ("../*", nothing, "!outside"),
    ("{beside}/*.txt", nothing, "!outside"),
    ("{folder}/src/*.py", nothing, "!outside"),
    ("src/../../*.txt", nothing, "!outside"),
    ("~/.ssh/*", nothing, "!outside"),
    ("/etc/pass*", nothing, "!outside"),
    # Secrets by name, however they are reached.
    (".env", nothing, "!secret"),
    ("./src/../.env", nothing, "!secret"),
    ("{folder}/.env", nothing, "!secret"),
    (".ENV", written(".ENV", PLANTED), "!secret"),
    (".Env.Local", written(".Env.Local", PLANTED), "!secret"),
    ("notes.txt", linked("notes.txt", ".env"), "!secret"),
    ("notes.txt", both(linked("notes.txt", "more.txt"), linked("more.txt", ".env")), "!secret"),
    ("keys/x", both(written(".ssh/x", PLANTED), linked("keys", ".ssh")), "!secret"),
    ("x/HEAD", both(written(".git/HEAD", PLANTED), linked("x", ".git")), "!secret"),
    (".git", written(".git", f"gitdir: {PLANTED}"), "!secret"),
    ("backup/config", bare_repository, "!secret"),
    ("backup/HEAD", bare_repository, "!secret"),
    (".env.missing", nothing, "!secret"),
    # Secrets by content.
    ("notes.txt", written("notes.txt", KEY), "!secret"),
    ("notes.txt:2-3", written("notes.txt", f"x\n{KEY}"), "!secret"),
    ("notes.txt", hard_link("notes.txt", KEY), "!secret"),
    ("notes.txt", written("notes.txt", KEY.encode("utf-16")), "!secret"),
    ("notes.txt", hard_link("notes.txt", "text\n"), "text\n"),
    # What is no text, or no file.
    ("pic", written("pic", b"\x89PNG\r\n\x1a\nabc"), "!binary"),
    ("nul", written("nul", b"abc\0def"), "!binary"),
    ("late", written("late", b"a" * 100_000 + b"\0"), "!binary"),
    ("doc.pdf", written("doc.pdf", b"%PDF-1.7\nabc\n"), "!binary"),
    ("noise", written("noise", bytes(range(1, 256)) * 4), "!binary"),
    ("src", nothing, "!folder"),
    ("src/", nothing, "!folder"),
    (".", nothing, "!folder"),
    ("{folder}", nothing, "!folder"),
    ("pipe", fifo, "!special"),
    ("notes.txt", both(fifo, linked("notes.txt", "pipe")), "!special"),
    ("sock", unix_socket, "!special"),
    ("/dev/zero", nothing, "!special"),
    ("/dev/stdin", nothing, "!special"),
    ("/dev/fd/0", nothing, "!special"),
    ("notes.txt", linked("notes.txt", "/dev/zero"), "!special"),
    ("/proc/self/environ", nothing, "!special"),
    ("/proc/self/cwd/a.py", nothing, "!special"),
    ("notes.txt", linked("notes.txt", "/proc/self/environ"), "!special"),
    ("/sys/kernel/notes", nothing, "!special"),
    ("big", sparse("big", 2_000_001), "!too_large"),
    ("giant", sparse("giant", 2**40), "!too_large"),
    ("giant:1-2", sparse("giant", 2**40), "!too_large"),
    ("hole", sparse("hole", 1000), "!binary"),
    ("full", written("full", "x" * 2_000_000), "x" * 2_000_000),
    # What is not there.
    ("nope.py", nothing, "!missing"),
    ("a.py/nope", nothing, "!missing"),
    ("notes.txt", linked("notes.txt", "nope"), "!missing"),
    ("loop", linked("loop", "loop"), "!missing"),
    ("a.py\0", nothing, "!missing"),
    ("\udc80\ud800", nothing, "!missing"),
    ("x" * 300, nothing, "!missing"),
    ("x" * 300 + "/a.py", nothing, "!missing"),
    ("x" * 300 + "/*.py", nothing, "!missing"),
    ("x/" * 3000, nothing, "!missing"),
    ("a.py:", nothing, "!missing"),
    ("nope/*.py", nothing, "!missing"),
    ("*.nope", nothing, "!missing"),
    ("*.pem", written("x.pem", PLANTED), "!missing"),
]


@pytest.mark.parametrize(("name", "prepare", "outcome"), TRICKS)
def test_a_trick_with_a_path_is_read_or_refused_by_its_kind(
    project: Project, name: str, prepare: Prepare, outcome: str
) -> None:
    prepare(project)
    for word in ("folder", "beside", "home"):
        name = name.replace(f"{{{word}}}", str(getattr(project, word)))
    assert project.outcome(name.replace("{{", "{").replace("}}", "}")) == outcome


@pytest.mark.skipif(sys.platform == "darwin", reason="names on macOS are UTF-8")
def test_a_name_that_is_not_utf_8_is_found_by_a_pattern_and_told_readably(project: Project) -> None:
    (project.folder / os.fsdecode(b"caf\xe9.txt")).write_text("text\n")
    (text,) = project.read("*.txt").texts
    assert text.text == "text\n"
    assert project.outcome(os.fsdecode(b"caf\xe9.txt")) == "text\n"


@pytest.mark.parametrize("files", [None, 3, [], {}, [1], [""], ["a.py", "  "], [["a.py"]], [None], {"path": "a.py"}])
def test_what_is_no_list_of_names_is_refused(project: Project, files: object) -> None:
    with pytest.raises(InvalidRequestError, match="`files`"):
        project.read(files)


def test_files_come_in_the_order_of_the_list_and_each_once(project: Project) -> None:
    reading = project.read(["src/app.py", "a.py:2", "a.py", "./src/app.py", "*.py", "a.py:2-2"])
    assert [(text.name, text.first, text.last) for text in reading.texts] == [
        ("src/app.py", 1, 1), ("a.py", 2, 2), ("a.py", 1, 5)
    ]  # fmt: skip


def test_a_range_that_ends_behind_the_end_says_so(project: Project) -> None:
    reading = project.read("a.py:4-9")
    assert [(text.first, text.last, text.total) for text in reading.texts] == [(4, 5, 5)]
    assert reading.notes == ("a.py has 5 lines; lines 4-5 were read, not 4-9.",)


def test_several_failures_are_told_in_one_refusal_and_as_rows_where_each_file_is_asked_about(project: Project) -> None:
    files = ["a.py", "nope.py", ".env", "src"]
    with pytest.raises(FileAccessError) as caught:
        project.read(files)
    assert caught.value.kind == "missing"
    assert [word in str(caught.value) for word in ("nope.py", ".env", "src is a folder")] == [True] * 3
    rows = project.read(files, each_file=True).entries
    assert [getattr(row, "kind", row.name) for row in rows] == ["a.py", "missing", "secret", "folder"]


def test_a_refusal_says_which_folders_count(project: Project) -> None:
    for name in ("/etc/passwd", "nope.py", "../*"):
        with pytest.raises(FileAccessError, match=str(project.folder)):
            project.read(name)
    with pytest.raises(FileAccessError, match="setting `roots`"):
        project.read("/etc/passwd")


def test_more_than_two_hundred_files_are_refused_with_the_number(project: Project) -> None:
    for number in range(201):
        project.write(f"many/{number}.txt", f"{number}\n")
    with pytest.raises(FileAccessError, match="201 files; at most 200") as caught:
        project.read("many/*.txt")
    assert caught.value.kind == "too_many"
    assert len(project.read("many/1*.txt").texts) == 111
    with pytest.raises(FileAccessError, match="at most 200"):
        project.read([f"many/{number}.txt" for number in range(201)], each_file=True)
    with pytest.raises(FileAccessError, match="at most 200"):
        project.read([f"gone/{number}.txt" for number in range(201)], each_file=True)


@pytest.mark.parametrize("name", ["a.py", "{folder}/a.py", "*.py", "git:staged", "/etc/passwd"])
def test_where_no_folder_counts_every_name_is_refused_with_the_reason_and_the_remedy(
    project: Project, name: str
) -> None:
    reader = file_reader(Settings(), {}, cwd=project.home, home=project.home)
    with pytest.raises(FileAccessError, match=r"setting `roots`.*is the home folder") as caught:
        reader.read(name.replace("{folder}", str(project.folder)))
    assert caught.value.kind == "outside"


def test_folders_of_the_settings_are_read_by_absolute_names(project: Project) -> None:
    notes = project.beside / "notes"
    notes.mkdir()
    (notes / "x.md").write_text("text\n")
    reader = file_reader(Settings(roots=(notes,)), {}, cwd=project.folder, home=project.home)
    assert [text.name for text in reader.read([str(notes / "x.md"), "a.py"]).texts] == [str(notes / "x.md"), "a.py"]


def test_a_project_that_is_named_through_a_link_is_read_under_its_own_names(project: Project) -> None:
    (project.beside / "way").symlink_to(project.folder)
    reader = file_reader(Settings(), {}, cwd=project.beside / "way", home=project.home)
    assert [text.name for text in reader.read([f"{project.beside}/way/src/app.py", "a.py"]).texts] == [
        "src/app.py",
        "a.py",
    ]


def test_reading_leaves_no_descriptor_open(project: Project) -> None:
    project.link("notes.txt", ".env")
    os.mkfifo(project.folder / "pipe")
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc").is_dir() else 0
    for name in ("a.py", "notes.txt", "pipe", "src", "/etc/passwd", "nope"):
        project.outcome(name)
    after = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc").is_dir() else 0
    assert after == before
