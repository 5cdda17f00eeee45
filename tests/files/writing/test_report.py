"""What a draft tells: enough to judge it, never all of it."""

import random
from pathlib import PurePath

import pytest

from mcp_local_llm.files.writing.output_names import has_placeholder, is_rows_file, output_paths
from mcp_local_llm.files.writing.report import bounded_diff, diffstat, excerpt, left_out, shrunk, size_words
from mcp_local_llm.files.writing.syntax import syntax_fault
from mcp_local_llm.values.errors import InvalidRequestError


def numbered(count: int) -> str:
    return "".join(f"line {number}\n" for number in range(count))


def test_a_new_file_shows_its_first_five_and_last_two_lines() -> None:
    assert excerpt(numbered(7)).split("\n") == [f"line {n}" for n in range(7)]
    assert excerpt(numbered(100)).split("\n")[4:] == ["line 4", "[93 more lines]", "line 98", "line 99"]
    assert excerpt(numbered(8)).split("\n")[5] == "[1 more line]"
    assert len(excerpt("x" * 10_000)) <= 200
    assert size_words("a\nb", 3) == "3 bytes, 2 lines"
    assert size_words("", 1) == "1 byte, 0 lines"


def test_what_is_not_seen_is_shown_in_excerpts_and_diffs() -> None:
    assert excerpt("a\x1b[2J\rb\u2028c") == r"a\x1b[2J\rb\u2028c"
    assert bounded_diff("a\n", "b\x1b\n", "a").split("\n")[-1] == r"+b\x1b"


def test_a_diff_shows_the_changed_lines_where_they_are() -> None:
    new = numbered(100).replace("line 50\n", "changed\nadded\n")
    assert diffstat(numbered(100), new) == (2, 1)
    assert bounded_diff(numbered(100), new, "a.py").split("\n") == [
        *("--- a.py", "+++ a.py", "@@ -48,7 +48,8 @@", " line 47", " line 48", " line 49", "-line 50"),
        *("+changed", "+added", " line 51", " line 52", " line 53"),
    ]


@pytest.mark.parametrize(
    ("old", "new"), [("", "a\n"), ("a\n", ""), ("a\nb\n", "b\n"), ("a\n", "a\nb\n"), ("a\na\n", "a\n")]
)
def test_changes_at_the_edges_are_shown(old: str, new: str) -> None:
    assert "@@" in bounded_diff(old, new, "a")
    assert diffstat(old, new) != (0, 0)


def test_a_diff_has_at_most_forty_lines_of_two_hundred_characters() -> None:
    old, new = numbered(3000), "".join(f"{'y' * 500} {number}\n" for number in range(3000))
    lines = bounded_diff(old, new, "a").split("\n")
    assert len(lines) == 40
    assert max(map(len, lines)) <= 200
    assert lines[-1].endswith("more lines of diff]")


def test_a_diff_of_very_long_files_is_counted_and_not_computed() -> None:
    shuffled = [f"line {number % 7}\n" for number in range(30_000)]
    random.Random(1).shuffle(shuffled)
    assert "too long" in bounded_diff("a\n" * 30_000, "".join(shuffled), "a")
    assert diffstat("a\n" * 30_000, "".join(shuffled)) == (30_000, 30_000)


def test_a_much_shorter_version_is_noticed() -> None:
    assert "much shorter: 40 of 100" in shrunk(numbered(100), numbered(40))
    assert shrunk(numbered(100), numbered(60)) == ""
    assert shrunk("a\nb\n", "a\n") == ""
    assert shrunk(numbered(10) * 3, "x\n" * 30) != ""


@pytest.mark.parametrize(
    "line",
    [
        *(
            "# ... rest of the code unchanged ...",
            "// ... existing code ...",
            "    # … (other methods)",
            "<!-- ... same -->",
        ),
        *(
            "/* rest of the file */",
            "# remaining functions unchanged",
            "... rest of the file",
            "[rest of the document]",
        ),
        *("-- the other queries ...", "    // The rest of the class stays the same", "# existing code here"),
        *("{/* ... existing JSX ... */}", "# (previous imports ...)"),
    ],
)
def test_lines_that_stand_for_others_are_noticed(line: str) -> None:
    assert "leaves parts out" in left_out(f"x = 1\n{line}\n", "x = 1\n", PurePath("a.py"))
    assert left_out(f"x = 1\n{line}\n", f"{line}\n", PurePath("a.py")) == ""


@pytest.mark.parametrize(
    "text",
    [
        *(
            "x = ...\n",
            "def f(*rest): ...\n",
            "# The rest is silence.\n",
            "# Keep the existing value.\n",
            "f(...existing)\n",
        ),
        *(
            "return {...state, other}\n",
            "print('... rest of the code')\n",
            "- the remaining lines\n",
            "# See the other module.\n",
        ),
    ],
)
def test_ordinary_code_leaves_nothing_out(text: str) -> None:
    assert left_out(text, "", PurePath("a.py")) == ""


def test_a_diff_in_place_of_a_file_is_noticed() -> None:
    diff = "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"
    assert "diff" in left_out(diff, "", PurePath("x.py"))
    assert "diff" in left_out(f"diff --git a/x.py b/x.py\nindex 1..2 100644\n{diff}", "", PurePath("x.py"))
    assert left_out(diff, "", PurePath("x.patch")) == ""


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("a.py", "x = 1\n", "x = = 1\n"),
        ("a.py", "'\\d'\n", "def f(:\n"),
        ("a.pyi", "x: int\n", "x: \n"),
        ("a.json", '{"a": 1}', '{"a": 1,}'),
        ("a.json", "[]", "[NaN]"),
        ("a.jsonl", '{"a": 1}\n\n[2]\n', '{"a": 1}\n{"a"\n'),
        ("A.TOML", "a = 1\n", "a = \n"),
        ("a.yaml", "a: [1, 2]\n", "a: [1, 2\n"),
        ("a.yml", "a: 1\n---\nb: !!python/object:os.system x\n", "a: 'x\n"),
        ("a.py", "x = 1\n", "(" * 5000),
        ("a.json", "[1]", "[" * 100_000),
        ("a.py", "x = 1\n", "x = 1\0\n"),
    ],
)
def test_what_no_longer_parses_is_noticed(name: str, good: str, bad: str) -> None:
    assert syntax_fault(PurePath(name), good) == ""
    assert (syntax_fault(PurePath(name), bad) or "").startswith("it does not parse as ")


@pytest.mark.parametrize("name", ["a.rs", "a", "a.md", "Makefile"])
def test_other_languages_are_not_judged(name: str) -> None:
    assert syntax_fault(PurePath(name), "((") is None


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("tests/test_{stem}.py", ("tests/test_a.py", "tests/test_b.py", "tests/test_c.tar.py")),
        ("{dir}/{name}", ("a.py", "src/b.py", "src/deep/c.tar.gz")),
        ("docs/{dir}/{stem}.md", ("docs/a.md", "docs/src/b.md", "docs/src/deep/c.tar.md")),
        ("out/{name}.txt", ("out/a.py.txt", "out/b.py.txt", "out/c.tar.gz.txt")),
        ("./{name}", ("a.py", "b.py", "c.tar.gz")),
    ],
)
def test_each_source_has_a_path_of_its_own(pattern: str, paths: tuple[str, ...]) -> None:
    assert output_paths(pattern, ["a.py", "src/b.py", "src/deep/c.tar.gz"]) == paths


@pytest.mark.parametrize(
    ("pattern", "sources", "part"),
    [
        ("{stem}.md", ["a.py", "b/a.py"], "a.py and b/a.py would both be written to a.md"),
        ("{stem}.md", ["a.py", "A.rs"], "would both be written"),
        ("{stem}.md", ["a.py", "a.rs"], "{dir} and {name}"),
        ("{dir}/x.md", ["s/a.py", "s/b.py"], "{name}"),
        ("{name}", ["a.py", "a.py"], "Two parts of a.py"),
        ("{stem}.md", ["é.py", "e\u0301.rs"], "would both be written"),
        ("out.md", ["a.py", "b.py"], "{stem}"),
        ("{file}.md", ["a.py"], "{file}"),
        ("{}.md", ["a.py"], "{}"),
        ("{stem}{ext}", ["a.py"], "{ext}"),
    ],
)
def test_clashes_and_unknown_placeholders_are_refused(pattern: str, sources: list[str], part: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        output_paths(pattern, sources)
    assert part in str(caught.value)


def test_names_with_braces_are_not_filled_twice() -> None:
    assert output_paths("{dir}/{name}", ["{name}/x.py"]) == ("{name}/x.py",)
    assert (has_placeholder("a{stem}"), has_placeholder("routes/{id}.tsx")) == (True, False)
    assert (is_rows_file("out.jsonl"), is_rows_file("{stem}.jsonl"), is_rows_file("a.json")) == (True, False, False)
