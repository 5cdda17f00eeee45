"""The language of patterns, and what a walk leaves out."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from mcp_local_llm.files.access.globs import expanded, glob
from mcp_local_llm.files.access.ignore_rules import ignore_rules
from mcp_local_llm.files.reading import walk
from mcp_local_llm.values.errors import FileAccessError
from tests.files.reading.project import PLANTED, Project

GLOBS = [
    ("*.py", "a.py", True),
    ("*.py", "src/a.py", False),
    ("**/*.py", "a.py", True),
    ("**/*.py", "src/x/a.py", True),
    ("src/**/*.py", "src/a.py", True),
    ("src/**/*.py", "src/x/y/a.py", True),
    ("src/**/*.py", "other/src/a.py", False),
    ("src/**", "src/x/a.py", True),
    ("src/**", "src", False),
    ("**", "a.py", True),
    ("**/x/**/a.py", "y/x/z/a.py", True),
    ("**/x/**/a.py", "y/a.py", False),
    ("./src/*.py", "src/a.py", True),
    ("src//*.py", "src/a.py", True),
    ("?.py", "a.py", True),
    ("?.py", "ab.py", False),
    ("?.py", "é.py", True),
    ("[ab].py", "b.py", True),
    ("[!ab].py", "b.py", False),
    ("[^ab].py", "c.py", True),
    ("[a-c]x", "bx", True),
    ("[c-a]x", "bx", False),
    ("[!c-a]x", "bx", True),
    ("[]]x", "]x", True),
    ("[a-]x", "-x", True),
    ("[[]id[]].tsx", "[id].tsx", True),
    ("[x", "[x", True),
    ("[\\w]", "w", True),
    ("a.*", "a.b.c", True),
    ("a*b*c", "a1b2c", True),
    ("a*b*c", "a1c2b", False),
    ("a**b", "axxb", True),
    ("a**b", "ax/xb", False),
    (r"\*.py", "*.py", True),
    (r"\*.py", "a.py", False),
    ("*", ".hidden", False),
    ("**", ".hidden/a", False),
    ("**/a", ".hidden/a", False),
    (".*", ".hidden", True),
    (".hidden/**", ".hidden/a", True),
    (".github/**/*.yml", ".github/workflows/ci.yml", True),
    ("[.]hidden", ".hidden", False),
    ("A.py", "a.py", False),
    ("(a|b).py", "(a|b).py", True),
    ("a+.py", "aa.py", False),
    ("two\n*.txt", "two\nlines.txt", True),
]


@pytest.mark.parametrize(("pattern", "path", "fits"), GLOBS)
def test_a_pattern_matches_a_path_by_its_components(pattern: str, path: str, fits: bool) -> None:
    assert glob(pattern).matches(path.split("/")) is fits


@pytest.mark.parametrize(
    ("pattern", "patterns"),
    [
        ("a{b,c}d", ["abd", "acd"]),
        ("{a,b}/{c,d}", ["a/c", "a/d", "b/c", "b/d"]),
        ("{a,{b,c}}x", ["ax", "bx", "cx"]),
        ("{src,tests/x}/*.py", ["src/*.py", "tests/x/*.py"]),
        ("a{,.bak}", ["a", "a.bak"]),
        ("{a}", ["{a}"]),
        ("{a", ["{a"]),
        ("a}", ["a}"]),
        ("{a{b,c}", ["{ab", "{ac"]),
        (r"\{a,b\}", [r"\{a,b\}"]),
        ("{}", ["{}"]),
    ],
)
def test_braces_stand_for_several_patterns(pattern: str, patterns: list[str]) -> None:
    assert expanded(pattern) == patterns


@pytest.mark.parametrize("pattern", ["{a,b}" * 20, "{" + "a," * 5000 + "}"])
def test_braces_that_stand_for_very_many_patterns_are_refused(project: Project, pattern: str) -> None:
    with pytest.raises(ValueError, match="more than 256"):
        expanded(pattern)
    if len(pattern) < 4000:
        with pytest.raises(FileAccessError, match="more than 256"):
            project.read(f"{pattern}*")


@pytest.mark.parametrize(
    "pattern", ["*a" * 60 + "b", "**/" * 60 + "b", "[a]*" * 60 + "b", "?*" * 100 + "b", "{" * 2000]
)
def test_no_pattern_takes_long(pattern: str) -> None:
    start = time.monotonic()
    for one in expanded(pattern):
        assert not glob(one).matches(["a" * 250] * 20)
    assert time.monotonic() - start < 5


IGNORED = [
    ("*.log", "a.log", True),
    ("*.log", "x/a.log", True),
    ("/a.log", "x/a.log", False),
    ("/a.log", "a.log", True),
    ("x/a.log", "y/x/a.log", False),
    ("build/", "build/x/y", True),
    ("build/", "build", False),
    ("build", "x/build/y", True),
    ("x/build", "x/build/y", True),
    ("**/build", "x/build", True),
    ("x/**", "x/y/z", True),
    ("x/**/z", "x/z", True),
    ("*.log\n!keep.log", "keep.log", False),
    ("!keep.log\n*.log", "keep.log", True),
    ("x/*\n!x/keep", "x/keep", False),
    ("x/**\n!x/keep", "x/keep", False),
    ("x\n!x/keep", "x/keep", True),
    ("# a.log", "a.log", False),
    (r"\#a", "#a", True),
    (r"\!a", "!a", True),
    ("a.log  ", "a.log", True),
    ("a\\ ", "a ", True),
    ("a.log\r", "a.log", True),
    (".*", ".hidden", True),
    ("*", ".hidden", True),
    ("{a,b}", "a", False),
    ("{a,b}", "{a,b}", True),
    ("", "a", False),
    ("/", "a", False),
]


@pytest.mark.parametrize(("lines", "path", "ignored"), IGNORED)
def test_the_lines_of_a_gitignore_mean_what_git_says(project: Project, lines: str, path: str, ignored: bool) -> None:
    assert ignore_rules(lines.split("\n")).holds(path.split("/")) is ignored
    project.git("init", "-q")
    project.write(".gitignore", lines + "\n")
    project.write(path, "text\n")
    assert (f"{path}\n" not in project.git("ls-files", "--others", "--exclude-standard")) is ignored


def test_a_pattern_leaves_out_hidden_and_ignored_files_and_links_to_folders_and_counts_them(project: Project) -> None:
    project.write(".gitignore", "*.log\nbuild/\n")
    project.write("src/.gitignore", "!keep.log\nlocal.py\n")
    for name in (
        "src/b.py",
        "src/local.py",
        "src/x.log",
        "src/keep.log",
        "src/build/z.py",
        "src/.cache/y.py",
        "src/.x",
    ):
        project.write(name, "text\n")
    project.link("src/linked", "../src")
    project.link("src/c.py", "b.py")
    project.link("src/broken.py", "nope")
    project.link("src/loop.py", "loop.py")
    project.link("src/away.py", "../../outside.txt")
    reading = project.read("src/**")
    assert [text.name for text in reading.texts] == ["src/app.py", "src/b.py", "src/keep.log"]
    assert reading.left_out == {"hidden": 3, "ignored": 3, "links": 1, "missing": 2, "outside": 1}
    for name in ("src/local.py", "src/x.log", "src/build/z.py", "src/.cache/y.py", "src/.x", "src/linked/b.py"):
        assert project.outcome(name) == "text\n"


def test_what_git_ignores_above_the_project_and_in_its_own_list_is_left_out(project: Project) -> None:
    project.git("init", "-q")
    project.write(".gitignore", "*.log\n")
    project.write(".git/info/exclude", "private.txt\n")
    for name in ("sub/a.log", "sub/private.txt", "sub/b.txt"):
        project.write(name, "text\n")
    sub = Project(project.folder / "sub", project.home)
    assert [text.name for text in sub.read("*").texts] == ["b.txt"]
    assert sub.read("*").left_out == {"ignored": 2}


def test_a_secret_that_git_ignores_or_that_is_hidden_counts_as_a_secret(project: Project) -> None:
    project.write(".gitignore", "*.key\n")
    project.write("tls.key", PLANTED)
    assert project.read("*").left_out == {"hidden": 1, "secret": 2}


def test_a_binary_file_is_left_out_of_a_pattern_and_named_and_is_a_row_of_its_own_with_each_file(
    project: Project,
) -> None:
    project.write("src/logo.png", b"\x89PNG\0")
    reading = project.read("src/*")
    assert [text.name for text in reading.texts] == ["src/app.py"]
    assert reading.notes == ("Binary, so left out: src/logo.png.", "Left out: 1 binary file.")
    rows = project.read("src/*", each_file=True).entries
    assert [getattr(row, "kind", "text") for row in rows] == ["text", "binary"]


def test_a_file_that_is_too_large_refuses_the_pattern_by_its_name(project: Project) -> None:
    project.write("src/big.txt", "x" * 2_000_001)
    with pytest.raises(FileAccessError, match=r"src/big\.txt has 2,000,001 bytes") as caught:
        project.read("src/*")
    assert caught.value.kind == "too_large"


def test_a_pattern_without_a_match_says_what_it_left_out(project: Project) -> None:
    with pytest.raises(FileAccessError, match=r"nope/\*\*\.py matches no file") as caught:
        project.read("nope/**.py")
    assert caught.value.kind == "missing"
    with pytest.raises(FileAccessError, match="Left out: 1 file with secrets"):
        project.read(".env*")


def test_an_absolute_pattern_below_the_project_is_refused_with_the_way_to_write_it(project: Project) -> None:
    with pytest.raises(FileAccessError, match=r"Write src/\*\.py\."):
        project.read(f"{project.folder}/src/*.py")


def test_a_list_of_ignored_files_that_is_no_regular_file_is_passed_over(project: Project) -> None:
    project.link(".gitignore", "/dev/zero")
    project.link("src/.gitignore", "../../outside.txt")
    assert project.outcome("src/*.py") == "app\n"


def test_a_very_deep_tree_is_walked_as_far_as_names_reach(project: Project) -> None:
    before = os.open(".", os.O_RDONLY)
    os.chdir(project.folder)
    try:
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
        Path("end.txt").write_text("end\n")
    finally:
        os.fchdir(before)
        os.close(before)
    try:
        assert [text.text for text in project.read("**/end.txt").texts] == ["end\n"]
    finally:  # Python's own removal of a tree is recursive
        subprocess.run(["rm", "-r", str(project.folder / "d")], check=True)


def test_a_pattern_that_looks_at_too_much_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MAX_ENTRIES", 3)
    with pytest.raises(FileAccessError, match="more than 3 names") as caught:
        project.read("**/*.py")
    assert caught.value.kind == "too_many"
    assert project.outcome("*.py").startswith("one\n")
