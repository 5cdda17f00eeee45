"""The shipped tasks (`prompts/bench`), and the grading of an answer. Pure but for the reading of the data.

Every task can be graded without a model: by equal fields, by words that must be there, by the form of a commit message,
or by tests.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from mcp_local_llm.files.tasks.checks import Checked, CheckName, fault
from mcp_local_llm.files.writing.fenced_answer import unwrap
from mcp_local_llm.setup.places import read_packaged
from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams

KINDS = ("extract", "classify-logs", "commit-message", "docstring", "translate")
CODE = "fix-code"
"""The kind whose answers are run."""

ANSWER_TOKENS = 250


@dataclass(frozen=True)
class BenchTask:
    """One task.

    Attributes:
        kind: what it belongs to.
        request: what the model is asked.
        text: what the task is about.
        expected: the fields of a right JSON answer.
        checks: checks of form.
        words: one of them must be in the answer; `every`: each of them, as often as in the text.
        tests: assertions that the code of the answer must pass.
    """

    kind: str
    request: ChatRequest
    text: str
    expected: Mapping[str, Any] | None = None
    checks: tuple[CheckName, ...] = ()
    words: tuple[str, ...] = ()
    every: tuple[str, ...] = ()
    tests: str = ""

    def right(self, answer: str) -> bool:
        """Return whether the answer is right; the tests of code are run elsewhere."""
        if self.expected is not None:
            return _fields(answer) == self.expected
        if fault(self.checks, Checked(answer)):
            return False
        lowered = answer.lower()
        if self.words and not any(word in lowered for word in self.words):
            return False
        if self.kind != "translate":
            return all(word in answer for word in self.every)
        if _plain(self.text) in _plain(answer):
            return False
        return all(answer.count(part) == self.text.count(part) for part in self.every)

    def code(self, answer: str) -> str:
        """Return the Python code of an answer."""
        return unwrap(answer, PurePath("answer.py")).text


def tasks_of(kind: str) -> tuple[BenchTask, ...]:
    """Read the tasks of one kind."""
    data = tomllib.loads(read_packaged(f"bench/{kind}.toml"))
    return tuple(_task(kind, data, entry) for entry in data["tasks"])


def _task(kind: str, data: Mapping[str, Any], entry: Mapping[str, Any]) -> BenchTask:
    question = f"{data['instruction']}\n\n{entry['text'].strip()}"
    request = ChatRequest(
        (Message(role="user", content=question),),
        sampling=SamplingParams(max_tokens=ANSWER_TOKENS, temperature=0.0),
        thinking=False,
        response_schema=data.get("schema"),
    )
    return BenchTask(
        kind,
        request,
        entry["text"],
        entry.get("expected"),
        tuple(data.get("check", ())),
        tuple(entry.get("words", ())),
        tuple(entry.get("every", ())),
        entry.get("tests", ""),
    )


def _fields(answer: str) -> object:
    try:
        return json.loads(answer)
    except ValueError:
        return None


def _plain(text: str) -> str:
    return " ".join(text.split()).lower()
