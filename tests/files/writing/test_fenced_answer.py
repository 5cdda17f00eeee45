"""One fence around an answer goes; nothing else is lost without a word."""

from pathlib import PurePath

import pytest

from mcp_local_llm.files.writing.fenced_answer import unwrap

CODE = "import os\n\n\ndef here():\n    return os.curdir"
DOC = '"""Reads.\n\n```\nread x\n```\n"""\n\nREAD = 1'


@pytest.mark.parametrize(
    ("answer", "text", "language"),
    [
        (CODE, CODE, ""),
        (f"```python\n{CODE}\n```", CODE, "python"),
        (f"```\n{CODE}\n```", CODE, ""),
        (f"\n\n```Python\n{CODE}\n```  \n", CODE, "python"),
        (f'```py title="a.py"\n{CODE}\n```', CODE, "py"),
        (f"~~~python\n{CODE}\n~~~", CODE, "python"),
        (f"````python\n{DOC}\n````", DOC, "python"),
        (f"```python\n{DOC}\n```", DOC, "python"),
        ("```python\r\nx = 1\r\n```\r\n", "x = 1", "python"),
        ("\n\n  ```python\n  if x:\n    y = 1\n z = 1\n  ```", "if x:\n  y = 1\nz = 1", "python"),
        (" \n\t\n     ```python\nx = 1\n```", "x = 1", "python"),
        ("\t```python\nx = 1\n```", "x = 1", "python"),
        (DOC, DOC, ""),
        ("```python\nx = '''\n```js\n'''\n```", "x = '''\n```js\n'''", "python"),
        ("```python\n\nx = 1\n\n```", "\nx = 1\n", "python"),
    ],
)
def test_the_outer_fence_of_a_source_file_goes(answer: str, text: str, language: str) -> None:
    taken = unwrap(answer, PurePath("a.py"))
    assert (taken.text, taken.language, taken.warnings) == (text, language, ())


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("# Title\n\ntext", "# Title\n\ntext"),
        ("```markdown\n# Title\n\ntext\n```", "# Title\n\ntext"),
        ("```md\n# Title\n```bash\nls\n```\nend\n```", "# Title\n```bash\nls\n```\nend"),
        ("```markdown\n# Title\n```\nls\n```\nend\n```", "# Title\n```\nls\n```\nend"),
        ("````markdown\n```\nls\n```\n````", "```\nls\n```"),
        ("```\nplain\n```", "plain"),
        ("# Title\n```bash\nls\n```\nand\n```bash\nps\n```", "# Title\n```bash\nls\n```\nand\n```bash\nps\n```"),
        ("Run:\n```bash\nls\n```", "Run:\n```bash\nls\n```"),
        ("```bash\nls\n```\nthen\n```bash\nps\n```", "```bash\nls\n```\nthen\n```bash\nps\n```"),
    ],
)
def test_a_prose_file_keeps_the_fences_that_are_its_own(answer: str, text: str) -> None:
    taken = unwrap(answer, PurePath("README.md"))
    assert (taken.text, taken.warnings) == (text, ())


def test_words_around_the_one_fence_of_a_source_file_are_left_out_with_a_warning() -> None:
    taken = unwrap(f"Here is the file:\n\n```python\n{CODE}\n```\n\nI hope it helps.", PurePath("a.py"))
    assert (taken.text, taken.language) == (CODE, "python")
    assert taken.warnings == (
        "2 lines of words around the fenced block were left out, beginning with 'Here is the file:'.",
    )


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        ("```python\na = 1\n```\n\nand\n\n```python\nb = 2\n```", "2 fenced blocks"),
        ("One:\n```python\na = 1\n```\nTwo:\n```python\nb = 2\n```", "2 fenced blocks"),
        ("\n".join(f"word {n}" for n in range(20)) + "\n```python\na = 1\n```", "within other text"),
    ],
)
def test_what_is_unclear_is_kept_whole_with_a_warning(answer: str, part: str) -> None:
    taken = unwrap(answer, PurePath("a.py"))
    assert taken.text == answer
    assert part in " ".join(taken.warnings)


def test_words_around_a_fenced_markdown_file_are_left_out_with_a_warning() -> None:
    taken = unwrap("Here you are:\n\n```markdown\n# Title\n\n```bash\nls\n```\n\ntext\n```\n", PurePath("README.md"))
    assert taken.text == "# Title\n\n```bash\nls\n```\n\ntext"
    assert "left out" in taken.warnings[0]


@pytest.mark.parametrize(
    ("name", "text", "warned"),
    [
        ("Makefile", "all:\n\ttrue", True),
        ("Dockerfile", "all:\n\ttrue", True),
        ("LICENSE", None, True),
        ("notes.txt", None, True),
        ("notes.md", None, False),
    ],
)
def test_whether_words_around_a_fence_are_meant_depends_on_the_file(name: str, text: str | None, warned: bool) -> None:
    answer = "So:\n```\nall:\n\ttrue\n```"
    taken = unwrap(answer, PurePath(name))
    assert (taken.text, bool(taken.warnings)) == (text or answer, warned)


def test_a_fence_without_an_end_goes_with_a_warning() -> None:
    taken = unwrap("```python\nx = 1\ny = 2", PurePath("a.py"))
    assert taken.text == "x = 1\ny = 2"
    assert "no end" in taken.warnings[0]


def test_a_code_block_that_is_a_whole_prose_answer_is_kept_with_a_warning() -> None:
    taken = unwrap("```bash\nls\n```", PurePath("notes.md"))
    assert taken.text == "```bash\nls\n```"
    assert taken.warnings != ()


@pytest.mark.parametrize("answer", ["```", "```\n```", "```python", "~~~", "````\n```", "", "\n"])
def test_the_smallest_answers_are_no_trouble(answer: str) -> None:
    unwrap(answer, PurePath("a.py"))
    unwrap(answer, PurePath("a.md"))
