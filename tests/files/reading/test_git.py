"""Diffs out of git: what is staged and what changed between commits, from repositories that try to run programs."""

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_local_llm.files.reading import git_command
from mcp_local_llm.values.errors import FileAccessError
from tests.files.reading.project import PLANTED, Project, set_traps


@pytest.fixture(scope="module")
def first_commit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a repository with one commit, which tests copy."""
    made = Project(tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("home"))
    made.write("a.py", "one\ntwo\nthree\nfour\nfive\n")
    made.write("src/app.py", "app\n")
    made.write(".env", PLANTED)
    made.git("init", "-q", "-b", "main", "--template=")
    made.git("add", "-f", ".")
    made.git("commit", "-qm", "first")
    return made.folder


@pytest.fixture
def repository(project: Project, first_commit: Path) -> Project:
    """A project with one commit, which holds its secrets as well."""
    shutil.copytree(first_commit, project.folder, dirs_exist_ok=True)
    return project


def staged(project: Project, **contents: str | bytes) -> None:
    for name, content in contents.items():
        project.write(name.replace("__", "/").replace("_DOT_", "."), content)
    project.git("add", "-f", "-A")


def test_what_is_staged_is_read_and_the_working_tree_is_not(repository: Project) -> None:
    repository.write("a.py", "one\nstaged\n")
    repository.git("add", "a.py")
    repository.write("a.py", "one\nnot staged\n")
    (text,) = repository.read("git:staged").texts
    assert text.name == "git:staged"
    assert "+staged\n" in text.text
    assert "not staged" not in text.text


def test_what_is_staged_before_the_first_commit_is_read(project: Project) -> None:
    project.git("init", "-q")
    project.git("add", "src/app.py")
    assert "+app\n" in project.read("git:staged").texts[0].text


@pytest.mark.parametrize(
    "source",
    [
        "HEAD~1..HEAD",
        "HEAD~1..",
        "main~1..main",
        "v1..HEAD",
        "HEAD^..@",
        "HEAD~1...HEAD",
        "{id}..HEAD",
        "HEAD^{{/first}}..HEAD",
    ],
)
def test_the_changes_between_two_commits_are_read(repository: Project, source: str) -> None:
    repository.git("tag", "v1")
    repository.write("a.py", "changed\n")
    repository.git("commit", "-qam", "second")
    name = source.format(id=repository.git("rev-parse", "HEAD~1").strip()[:10])
    (text,) = repository.read(f"git:{name}").texts
    assert text.text.startswith("diff --git a/a.py b/a.py\n")
    assert text.text.endswith("+changed\n")


def test_three_dots_mean_since_the_two_parted(repository: Project) -> None:
    repository.git("checkout", "-qb", "topic")
    repository.write("topic.txt", "topic\n")
    repository.git("add", "topic.txt")
    repository.git("commit", "-qm", "topic")
    repository.git("checkout", "-q", "main")
    repository.write("a.py", "main\n")
    repository.git("commit", "-qam", "main")
    assert "a.py" not in repository.read("git:main...topic").texts[0].text
    assert "a.py" in repository.read("git:main..topic").texts[0].text


REFUSED = [
    ("git:", "git"),
    ("git:HEAD", "git"),
    ("git:unstaged", "git"),
    ("git:diff", "git"),
    ("git:staged:src", "git"),
    ("git:HEAD:.env", "git"),
    ("git:HEAD:.env..HEAD", "git"),
    ("git:HEAD..HEAD:.env", "git"),
    ("git::/first..HEAD", "git"),
    ("git:--output=pwned..HEAD", "git"),
    ("git:HEAD..--output=pwned", "git"),
    ("git:-p..HEAD", "git"),
    ("git:HEAD HEAD..HEAD", "git"),
    ("git:HEAD..HEAD..HEAD", "git"),
    ("git:HEAD\n..HEAD", "git"),
    ("git:" + "x" * 300 + "..HEAD", "git"),
    ("git:nope..HEAD", "missing"),
    ("git:HEAD~9..HEAD", "missing"),
    ("git:HEAD^{tree}..HEAD", "missing"),
    ("git:HEAD..HEAD", "missing"),
    ("git:staged", "missing"),
]


def test_anything_else_is_refused(repository: Project) -> None:
    assert [(source, repository.outcome(source)) for source, _ in REFUSED] == [
        (source, f"!{kind}") for source, kind in REFUSED
    ]
    assert not (repository.folder / "pwned").exists()


def test_with_each_file_there_is_an_entry_for_each_changed_file(repository: Project) -> None:
    staged(repository, a_DOT_py="changed\n", src__new_DOT_py="new\n", uv_DOT_lock="x\n", logo_DOT_png=b"\x89PNG\0")
    reading = repository.read("git:staged", each_file=True)
    assert [text.name for text in reading.texts] == ["a.py", "logo.png", "src/new.py", "uv.lock"]
    assert [text.text.splitlines()[0] for text in reading.texts] == [
        "diff --git a/a.py b/a.py", "logo.png: binary", "diff --git a/src/new.py b/src/new.py", "uv.lock: +1 -0"
    ]  # fmt: skip
    assert "only counted, not read: logo.png: binary, uv.lock: +1 -0" in reading.notes[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("package-lock.json", "x\n"),
        ("web/pnpm-lock.yaml", "x\n"),
        ("go.sum", "x\n"),
        ("dist/app.js", "x\n"),
        ("app.min.js", "x\n"),
        ("api_pb2.py", "x\n"),
        ("gen.go", "// Code generated by tool. DO NOT EDIT.\nx\n"),
        ("gen.py", "# @generated\nx\n"),
        ("pic.bin", b"\0\1"),
        ("big.txt", "line\n" * 500_000),
    ],
)
def test_lock_files_generated_and_binary_ones_are_only_counted(
    repository: Project, name: str, content: str | bytes
) -> None:
    repository.write(name, content)
    repository.git("add", "-f", name)
    (text,) = repository.read("git:staged").texts
    assert text.text.startswith(f"{name}: ")
    assert len(text.text) < 80


def test_secrets_are_left_out_and_counted(repository: Project) -> None:
    secrets = {".env": PLANTED, "deep/.env.local": PLANTED, "notes.txt": f"-----BEGIN PRIVATE KEY-----\n{PLANTED}\n"}
    for name, content in secrets.items():
        repository.write(name, content + "\nmore\n")
    repository.write("a.py", "changed\n")
    repository.write(".claude/settings.json", '{"permissions": {"deny": ["Read(src/**)"]}}')
    repository.write("src/app.py", PLANTED)
    repository.git("add", "-f", "-A")
    reading = repository.read("git:staged", each_file=True)
    assert [text.name for text in reading.texts] == [".claude/settings.json", "a.py"]
    assert reading.left_out == {"secret": 3, "denied": 1}


def test_a_diff_of_secrets_alone_is_refused(repository: Project) -> None:
    repository.write(".env", "changed\n")
    repository.git("add", "-f", ".env")
    assert repository.outcome("git:staged") == "!secret"


def test_a_file_that_became_a_folder_does_not_bring_the_secrets_in_it_along(repository: Project) -> None:
    (repository.folder / "a.py").unlink()
    repository.write("a.py/.env", PLANTED)
    repository.write("a.py/b.txt", "fine\n")
    repository.git("add", "-f", "-A")
    reading = repository.read("git:staged", each_file=True)
    assert [text.name for text in reading.texts] == ["a.py/b.txt"]


@pytest.mark.parametrize(
    "name",
    [*([os.fsdecode(b"caf\xe9.txt")] if sys.platform == "linux" else []), "two words.txt", "quo\"te.txt",
     "back\\slash.txt", "tab\there.txt", "line\nbreak.txt", "ümlaut.txt", "*.txt",
     ":(top)x", "b b/b", "diff --git a", "bell\a.txt"],
)  # fmt: skip
def test_changes_of_files_with_odd_names_are_found(repository: Project, name: str) -> None:
    repository.write(name, "fine\n")
    repository.git("--literal-pathspecs", "add", "-f", "--", name)
    (text,) = repository.read("git:staged", each_file=True).texts
    assert text.text.endswith("+fine\n")


def test_a_file_that_looks_like_a_diff_stays_in_its_own_part(repository: Project) -> None:
    forged = "x\ndiff --git a/.env b/.env\n+++ b/.env\n@@ -1 +1 @@\n"
    staged(repository, a_DOT_py=forged, src__app_DOT_py="y\n")
    first, second = repository.read("git:staged", each_file=True).texts
    assert "+diff --git a/.env b/.env\n" in first.text
    assert second.text.endswith("+y\n")


def test_a_file_that_became_a_link_is_one_entry(repository: Project) -> None:
    (repository.folder / "a.py").unlink()
    repository.link("a.py", "src/app.py")
    repository.git("add", "a.py")
    (text,) = repository.read("git:staged", each_file=True).texts
    assert "deleted file mode" in text.text
    assert "new file mode 120000" in text.text


def test_more_than_two_hundred_changed_files_are_refused(repository: Project) -> None:
    for number in range(201):
        repository.write(f"many/{number}", "x\n")
    repository.git("add", "-A", "many")
    with pytest.raises(FileAccessError, match="201 files; at most 200"):
        repository.read("git:staged")


def test_a_repository_that_names_programs_everywhere_runs_none(repository: Project) -> None:
    program = set_traps(repository)
    # The alarm works: plain git sets it off.
    plain = {"PATH": os.environ["PATH"], "HOME": str(repository.home)}
    subprocess.run(["git", "diff", "--cached"], cwd=repository.folder, env=plain, capture_output=True, check=False)
    assert (repository.beside / "ran").exists()
    (repository.beside / "ran").unlink()
    for key in ("diff.orderFile", "core.attributesFile", "core.excludesFile"):
        repository.git("config", key, "/dev/zero")  # a git that reads it does not end
    repository.environ |= {
        "PATH": f"{repository.folder}:.:{os.environ['PATH']}", "GIT_EXTERNAL_DIFF": program, "GIT_PAGER": program,
        "GIT_DIR": "/nonexistent", "GIT_TRACE": str(repository.beside / "ran"), "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": program, "GIT_SSH_COMMAND": program,
    }  # fmt: skip
    for source in ("git:staged", "git:HEAD~1..HEAD", "git:HEAD~1...HEAD"):
        for each_file in (False, True):
            assert "+++ b/a.py\n" in "".join(text.text for text in repository.read(source, each_file=each_file).texts)
    repository.read("**")
    assert not (repository.beside / "ran").exists()


def other_data(project: Project) -> Path:
    """A private repository beside the project."""
    private = Project(project.beside / "private", project.home)
    private.folder.mkdir()
    private.git("init", "-q", "-b", "main")
    for content in ("first\n", PLANTED):
        private.write("diary.txt", content)
        private.git("add", ".")
        private.git("commit", "-qm", "x")
    return private.folder / ".git"


def git_file(project: Project, data: Path) -> None:
    project.write(".git", f"gitdir: {data}\n")


def git_link(project: Project, data: Path) -> None:
    project.link(".git", data)


def common_folder(project: Project, data: Path) -> None:
    project.git("init", "-q")
    project.write(".git/commondir", f"{data}\n")


def linked_objects(project: Project, data: Path) -> None:
    project.git("init", "-q", "-b", "main")
    for name in ("objects", "refs"):
        project.git("config", "x.y", "z")
        subprocess.run(["rm", "-r", str(project.folder / ".git" / name)], check=True)
        (project.folder / ".git" / name).symlink_to(data / name)


def alternate_objects(project: Project, data: Path) -> None:
    project.git("init", "-q", "-b", "main")
    project.write(".git/objects/info/alternates", f"{data}/objects\n")
    ends = Project(data.parent, project.home).git("rev-list", "HEAD").split()
    project.write(".git/refs/heads/main", ends[0] + "\n")


def linked_pack(project: Project, data: Path) -> None:
    Project(data.parent, project.home).git("gc", "-q")
    project.git("init", "-q", "-b", "main")
    (project.folder / ".git/objects/pack").rmdir()
    (project.folder / ".git/objects/pack").symlink_to(data / "objects/pack")


def linked_heads(project: Project, data: Path) -> None:
    project.git("init", "-q", "-b", "main")
    (project.folder / ".git/refs/heads").rmdir()
    (project.folder / ".git/refs/heads").symlink_to(data / "refs/heads")


@pytest.mark.parametrize(
    "prepare", [git_file, git_link, common_folder, linked_objects, alternate_objects, linked_pack, linked_heads]
)
def test_a_repository_whose_data_lie_outside_is_refused(
    project: Project, prepare: Callable[[Project, Path], None]
) -> None:
    prepare(project, other_data(project))
    assert project.outcome("git:HEAD~1..HEAD") == "!git"
    assert project.outcome("git:staged") == "!git"


def test_a_linked_worktree_is_read(repository: Project) -> None:
    repository.git("worktree", "add", "-q", "../tree", "-b", "topic")
    tree = Project(repository.beside / "tree", repository.home)
    tree.write("a.py", "changed\n")
    tree.git("add", "a.py")
    assert "+changed\n" in tree.read("git:staged").texts[0].text


def test_a_repository_above_the_project_is_not_read(repository: Project) -> None:
    sub = Project(repository.folder / "src", repository.home)
    repository.write("a.py", "changed\n")
    repository.git("add", "a.py")
    with pytest.raises(FileAccessError, match="not a git repository"):
        sub.read("git:staged")


def test_a_missing_git_is_said(repository: Project) -> None:
    repository.environ["PATH"] = f"relative:{repository.folder}"
    with pytest.raises(FileAccessError, match="not on the PATH"):
        repository.read("git:staged")


def test_git_that_takes_too_long_is_ended_with_its_children(
    repository: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = repository.beside / "bin"
    slow.mkdir()
    os.mkfifo(slow / "alive")
    alive = os.open(slow / "alive", os.O_RDONLY | os.O_NONBLOCK)
    (slow / "git").write_text(f"#!/bin/sh\nexec 9>{slow}/alive\necho begun >&9\n/bin/sleep 60 & /bin/sleep 60\n")
    (slow / "git").chmod(0o755)
    repository.environ["PATH"] = str(slow)
    monkeypatch.setattr(git_command, "TIME_LIMIT_S", 0.5)
    with pytest.raises(FileAccessError, match=r"longer than 0\.5 s"):
        repository.read("git:staged")
    assert os.read(alive, 100) == b"begun\n"
    ended, _, _ = select.select([alive], [], [], 10)
    assert ended
    assert os.read(alive, 100) == b""  # the last of those that had it open has ended
    os.close(alive)


def test_a_very_long_diff_is_refused(repository: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    staged(repository, a_DOT_py="line\n" * 5000)
    monkeypatch.setattr(git_command, "MAX_OUTPUT_BYTES", 10_000)
    with pytest.raises(FileAccessError, match=r"more than 10,000 bytes") as caught:
        repository.read("git:staged")
    assert caught.value.kind == "too_large"
