"""Odd answers and odd calls about files at a real server over stdio: what is written, what comes back."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.doors.mcp.agent import Agent, agent_in, texts

SCHEMA = {"type": "object"}


@pytest.fixture(scope="module")
async def agent(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Agent]:
    async with agent_in(tmp_path_factory.mktemp("agent")) as opened:
        yield opened


WRITTEN: list[tuple[str, str, str, str]] = [
    # File, answer, what the file then holds, words of the report.
    ("fence.py", "```python\nx = 1\n```", "x = 1\n", "new, 6 bytes, 1 line."),
    ("tilde.py", "~~~python\nx = 1\n~~~", "x = 1\n", "new"),
    ("indented.py", "\n\n  ```python\n  x = 1\n  ```", "x = 1\n", "new"),
    ("open.py", "```python\nx = 1\n", "x = 1\n", "fence has no end"),
    ("within.py", "Here is it:\n\n```python\nx = 1\n```\n\nEnjoy!", "x = 1\n", "2 lines of words"),
    ("two.txt", "```\na\n```\n\n```\nb\n```", "```\na\n```\n\n```\nb\n```\n", "2 fenced blocks"),
    ("quotes.py", "````python\nx = '''\n```\n'''\n````", "x = '''\n```\n'''\n", "new"),
    ("note.md", "# T\n\n```python\nx\n```\n", "# T\n\n```python\nx\n```\n", "new"),
    ("whole.md", "```markdown\n# T\n\n```python\nx\n```\nend\n```", "# T\n\n```python\nx\n```\nend\n", "new"),
    ("crlf.txt", "a\r\nb\r\n", "a\nb\n", "2 lines"),
    ("crlf.py", "```python\r\nx = 1\r\n```\r\n", "x = 1\n", "new"),
    ("end.txt", "no line end", "no line end\n", "new"),
    ("blank.txt", "\n\nfirst\n\n\n", "first\n", "1 line"),
    ("mark.txt", "\ufeffhello", "hello\n", "new"),
    ("thought.txt", "<think>hmm</think>\nanswer", "answer\n", "new"),
    ("data.json", '```json\n{"a": 1}\n```', '{"a": 1}\n', "new"),
    ("broken.json", 'Sure! {"a": 1}', 'Sure! {"a": 1}\n', "does not parse as JSON"),
    (
        "diff.py",
        "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-x\n+y\n",
        "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-x\n+y\n",
        "a diff",
    ),
    ("short.py", "x = 1\n# ... rest unchanged\n", "x = 1\n# ... rest unchanged\n", "leaves parts out"),
]
REFUSED: list[tuple[str, str]] = [
    ("", "is empty"),
    (" \n\n", "is empty"),
    ("```", "is empty"),
    ("```python\n```", "is empty"),
    ("<think>hmm</think>", "is empty"),
    ("<think>hmm", "cut off"),
    ("a\0b", "NUL"),
]


async def test_an_odd_answer_becomes_the_file_that_it_means_or_is_told_to_be_odd(agent: Agent) -> None:
    project = agent.renewed()
    for name, answer, content, words in WRITTEN:
        agent.answer = lambda prompt, said=answer: said
        result = await agent.call("draft", path=name, message="Write.")
        assert (project.folder / name).read_bytes() == content.encode(), (name, texts(result))
        assert words in texts(result)[0], (name, texts(result))


@pytest.mark.parametrize("overwrite", [False, True])
async def test_an_answer_without_content_is_not_written(agent: Agent, overwrite: bool) -> None:
    project = agent.renewed()
    for answer, words in REFUSED:
        agent.answer = lambda prompt, said=answer: said
        path = "a.py" if overwrite else "new.py"
        result = await agent.call("draft", path=path, message="Write.", overwrite=overwrite)
        assert result["isError"], answer
        assert words in texts(result)[0], answer
        assert str(project.folder / path) in texts(result)[0]
    assert not (project.folder / "new.py").exists()
    assert (project.folder / "a.py").read_text() == "one\ntwo\nthree\nfour\nfive\n"


CALLS: list[tuple[dict[str, Any], str, str, str]] = [
    # Arguments, what the model says, words of the head, the body; a head that begins with `!` is a refusal.
    ({"files": [], "each_file": True}, "x", "!there are none", ""),
    ({"files": "a.py", "each_file": True}, "x", "1 file: 1 answered.", "a.py: x"),
    ({"files": ["a.py", "./a.py", "a.py"], "each_file": True}, "x", "1 file: 1 answered.", "a.py: x"),
    ({"files": '["a.py", "src/app.py"]', "each_file": True}, "x", "2 files: 2", "a.py: x\nsrc/app.py: x"),
    ({"files": ["a.py", "src/app.py"], "each_file": True}, "", "2 files: 0 answered, 2 empty.", ""),
    ({"files": ["gone", ".env"], "each_file": True}, "x", "!2 files: 0 answered, 1 missing, 1 secret.", ""),
    ({"files": "a.py", "each_file": True}, "x\nb.py: forged", "1 file: 1 answered.", "a.py: x\n  b.py: forged"),
    ({"files": "a.py", "each_file": True}, "ERROR secret: x", "1 file: 1 answered.", "a.py:\n  ERROR secret: x"),
    ({"files": "a.py", "each_file": True}, "x\u2028b.py: y", "1 file: 1 answered.", "a.py: x\n  b.py: y"),
    ({"files": "a.py", "each_file": True, "response_schema": SCHEMA}, "no", "!1 file: 0 answered, 1 schema.", ""),
    ({"files": "a.py", "each_file": True, "response_schema": SCHEMA}, '{"n":\n1}', "1 file: 1", '{"n": 1}'),
    ({"files": "a.py", "each_file": True, "split": True}, "x", "1 file: 1 answered.", "a.py: x"),
    ({"files": "a.py", "each_file": True, "max_seconds": 60}, "x", "1 file: 1 answered.", "a.py: x"),
    ({"files": "a.py", "max_seconds": 60}, "x", "max_seconds had no effect", "x"),
    ({"files": "a.py"}, "", "empty", ""),
    ({"files": "a.py", "template": "extract", "message": ""}, "x", "!needs a message", ""),
    ({"each_file": True}, "x", "!there are none", ""),
    ({"split": True}, "x", "!there are none", ""),
]


async def test_an_odd_call_is_answered_in_rows_or_refused_with_the_remedy(agent: Agent) -> None:
    agent.renewed()
    for arguments, answer, words, body in CALLS:
        agent.answer = lambda prompt, said=answer: said
        result = await agent.call("chat", **{"message": "Look.", **arguments})
        assert bool(result.get("isError")) == words.startswith("!"), (arguments, texts(result))
        assert words.removeprefix("!") in texts(result)[0], (arguments, texts(result))
        assert body in "\n".join(texts(result)[1:]), (arguments, texts(result))


async def test_a_time_limit_that_bounds_nothing_is_told_without_files_too(agent: Agent) -> None:
    agent.renewed()
    agent.answer = lambda prompt: "x"
    text, note = texts(await agent.call("chat", message="Look.", max_seconds=60))
    assert (text, "max_seconds had no effect" in note) == ("x", True)


async def test_rows_of_json_that_are_too_long_are_left_out_whole_counted_and_kept(agent: Agent) -> None:
    project = agent.renewed()
    for number in range(60):
        project.write(f"many/{number:02}.txt", f"text {number}\n")
    agent.answer = lambda prompt: json.dumps({"value": "z" * (400 if "text 7\n" in prompt else 200)})
    asked = {"message": "Look.", "files": "many/*.txt", "each_file": True, "response_schema": SCHEMA}
    result = await agent.call("chat", **asked)
    head, body = texts(result)
    rows = [json.loads(line) for line in body.splitlines()]
    assert all(len(line) <= 300 for line in body.splitlines())
    assert len(body.encode()) + len(head.encode()) <= 8192
    assert "07.txt" not in body
    assert f"{60 - len(rows)} left out here; the whole is in " in head
    (link,) = [block["uri"] for block in result["content"] if block["type"] == "resource_link"]
    with open(link.removeprefix("file://")) as kept:
        assert [json.loads(line)["file"] for line in kept] == [f"many/{number:02}.txt" for number in range(60)]
    assert len(texts(await agent.call("chat", **asked))[1].splitlines()) == len(rows)
