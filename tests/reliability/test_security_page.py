"""The page on security names a test for each promise, and each of them exists."""

import re

from tests.source import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
PROMISES = re.findall(r"^\| .* \|$", PAGE.partition("## What is promised")[2].partition("## ")[0], re.MULTILINE)[2:]


def test_each_promise_names_tests_that_exist() -> None:
    files = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    written = {name for text in files for name in re.findall(r"def test_(\w+)\(", text)}
    assert len(PROMISES) > 10
    for promise in PROMISES:
        named = re.findall(r"\*([^*]+)\*", promise.split("|")[3])
        assert named, promise
        assert [words for words in named if re.sub(r"\W", "_", words) not in written] == []
