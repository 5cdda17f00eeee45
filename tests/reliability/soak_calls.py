"""The calls of a soak: each kind asks something whose answer is known, and compares every character.

What `tiny` says is scripted (`training.dialogues`), so its greedy answers are known. Where files are in the prompt, a
schema allows one JSON text alone, and that is another one for each call: an answer to another's call cannot pass.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

from mcp_local_llm.values.results import ModelTable, QuickTest, Status, Switch
from tests.reliability.soak_sessions import StdioSession
from tests.sharing.sessions import LARGE, SMALL
from training.dialogues import Dialogue, conversations, scripted

Json = dict[str, Any]
Ending = Literal["answered", "refused", "cancelled"]
"""How a call ended that kept its promise: with the right answer, with the error that it must get, or not at all."""

TINIES = (SMALL, LARGE, "tiny")
"""Names of three models with the same weights: switching between them changes no answer."""
ENDLESS = "Repeat the word la forever."
LONG = "Count from 1 to 150."
CALLED = re.compile(r"<tool_call>\n(.*?)\n</tool_call>", re.DOTALL)
FILES = 3


def _single(dialogue: Dialogue) -> bool:
    """Whether a dialogue is a question with perhaps a system prompt before it."""
    return [turn["role"] for turn in dialogue.messages] in (["user"], ["system", "user"]) and not dialogue.endless


SHORT = [one for one in scripted() if _single(one) and not one.tools and len(one.answer) < 200]
TOOLS = [one for one in conversations() if _single(one) and one.tools]


@dataclass
class Caller:
    """One line of calls: the next is sent when the last has ended. Its seed says which calls they are.

    Attributes:
        name: names its calls and its files.
        random: chooses.
        project: the folder that the calls with files read and write.
        real: answers of the real model by question; none where it is not here.
        real_name: its name.
        sent: the number of its calls.
    """

    name: str
    random: Random
    project: Path
    real: Mapping[str, str] = field(default_factory=dict[str, str])
    real_name: str = ""
    sent: int = 0

    def word(self) -> str:
        """A word that no other call has."""
        return f"{self.name}-{self.sent}"

    def model(self) -> str:
        """Mostly the chosen model, now and then one by its name, which is loaded for the call."""
        return self.random.choice(("",) * 15 + TINIES)


def only(word: str) -> Json:
    """A schema that one JSON text alone meets."""
    return {
        "type": "object",
        "properties": {"call": {"const": word}},
        "required": ["call"],
        "additionalProperties": False,
    }


def whole(word: str) -> str:
    """That text."""
    return json.dumps({"call": word})


def texts(result: Json) -> list[str]:
    return [block["text"] for block in result["content"] if block["type"] == "text"]


def require(holds: bool, told: object) -> None:
    """Fail with what was got instead."""
    assert holds, str(told)[:1500]


def question(caller: Caller, dialogue: Dialogue, *, thinking: bool) -> Json:
    """The arguments of `chat` for a dialogue."""
    arguments: Json = {"message": dialogue.messages[-1]["content"], "temperature": 0, "thinking": thinking}
    if len(dialogue.messages) > 1:
        arguments["system"] = dialogue.messages[0]["content"]
    if dialogue.tools:
        arguments["tools"] = list(dialogue.tools)
    if model := caller.model():
        arguments["model"] = model
    return arguments


def require_answer(result: Json, arguments: Json, answer: str) -> None:
    """The model's text is a block of its own; what the server adds is in brackets."""
    require(not result.get("isError"), result)
    calls = [json.loads(text) for text in CALLED.findall(answer)]
    expected = json.dumps(calls, ensure_ascii=False) if calls else answer
    told = texts(result)
    require(expected in told, (arguments, expected, result))
    told.remove(expected)
    require(all(text.startswith("[") for text in told), result)
    numbers = result["_meta"]["local-llm/result"]
    require(numbers["model"] in ([arguments["model"]] if arguments.get("model") else TINIES), result)


async def short(session: StdioSession, caller: Caller) -> Ending:
    dialogue = caller.random.choice(SHORT)
    arguments = question(caller, dialogue, thinking=caller.random.random() < 0.2)
    require_answer(await session.call("chat", arguments), arguments, dialogue.answer)
    return "answered"


async def long(session: StdioSession, caller: Caller) -> Ending:
    arguments: Json = {"message": LONG, "temperature": 0, "thinking": False}
    require_answer(await session.call("chat", arguments), arguments, ", ".join(map(str, range(1, 151))))
    return "answered"


async def tools(session: StdioSession, caller: Caller) -> Ending:
    dialogue = caller.random.choice(TOOLS)
    arguments = question(caller, dialogue, thinking=False)
    require_answer(await session.call("chat", arguments), arguments, dialogue.answer)
    return "answered"


async def schema(session: StdioSession, caller: Caller) -> Ending:
    word = caller.word()
    arguments: Json = {"message": "Answer.", "response_schema": only(word), "thinking": False}
    require_answer(await session.call("chat", arguments), arguments, whole(word))
    return "answered"


async def files(session: StdioSession, caller: Caller) -> Ending:
    word = caller.word()
    arguments = {"message": "Look.", "files": "note*.txt", "response_schema": only(word), "thinking": False}
    result = await session.call("chat", arguments)
    head, body = texts(result)
    require(head.startswith(f"{FILES} files") and body == whole(word), result)
    return "answered"


def rows(result: Json, word: str) -> list[str]:
    """The files of the rows of a result; each row must hold the word."""
    told = [json.loads(line) for text in texts(result)[1:] for line in text.splitlines()]
    require(all(row["answer"] == {"call": word} for row in told), (word, result))
    return [row["file"] for row in told]


async def each_file(session: StdioSession, caller: Caller) -> Ending:
    word = caller.word()
    arguments: Json = {"message": "Look.", "files": "note*.txt", "each_file": True, "thinking": False}
    arguments["response_schema"] = only(word)
    every = [f"note{number}.txt" for number in range(FILES)]
    if caller.random.random() < 0.5:
        # It ends with what there is; the same call goes on from there.
        early = await session.call("chat", {**arguments, "max_seconds": caller.random.uniform(0.01, 1.5)})
        if not early.get("isError"):
            require(set(rows(early, word)) <= set(every), early)
    result = await session.call("chat", arguments)
    require(not result.get("isError") and rows(result, word) == every, result)
    return "answered"


async def draft(session: StdioSession, caller: Caller) -> Ending:
    word, name = caller.word(), f"draft-{caller.name}.json"
    target, before = caller.project / name, None
    if target.exists():
        before = target.read_text()
    arguments: Json = {"path": name, "message": "Write.", "response_schema": only(word), "thinking": False}
    result = await session.call("draft", {**arguments, "overwrite": True})
    require(not result.get("isError") and json.loads(target.read_text()) == {"call": word}, (word, result))
    if before is not None and caller.random.random() < 0.2:
        restored = await session.call("draft", {"path": name, "restore": True})
        require(not restored.get("isError") and target.read_text() == before, (word, restored))
    return "answered"


async def draft_rows(session: StdioSession, caller: Caller) -> Ending:
    word = caller.word()
    name = f"rows-{caller.name}.jsonl"
    target = caller.project / name
    target.unlink(missing_ok=True)
    arguments: Json = {"path": name, "message": f"Write {word}.", "files": "note*.txt", "each_file": True}
    arguments |= {"response_schema": only(word), "thinking": False}
    result = await session.call("draft", arguments)
    require(not result.get("isError"), result)
    told = [json.loads(line) for line in target.read_text().splitlines()]
    require(sorted(row["file"] for row in told) == [f"note{number}.txt" for number in range(FILES)], told)
    require(all(row["answer"] == {"call": word} for row in told), told)
    return "answered"


async def switch(session: StdioSession, caller: Caller) -> Ending:
    name = caller.random.choice(TINIES)
    result = await session.call("set_model", {"name": name})
    require(not result.get("isError"), result)
    require(Switch.model_validate(result["structuredContent"]).model == name, result)
    return "answered"


async def quick_test(session: StdioSession, caller: Caller) -> Ending:
    result = await session.call("quick_test", {})
    require(not result.get("isError"), result)
    test = QuickTest.model_validate(result["structuredContent"])
    require(test.passed and test.answer == "OK" and test.model in TINIES, result)
    return "answered"


async def status(session: StdioSession, caller: Caller) -> Ending:
    result = await session.call("status", {})
    told = Status.model_validate(result["structuredContent"])
    require(told.pid == session.pid and told.model in (*TINIES, caller.real_name, None), result)
    return "answered"


async def list_models(session: StdioSession, caller: Caller) -> Ending:
    result = await session.call("list_models", {})
    table = ModelTable.model_validate(result["structuredContent"])
    named = {row.name for row in table.models}
    require(named >= {*TINIES} and [row.number for row in table.models] == [*range(1, len(named) + 1)], result)
    return "answered"


REFUSALS: tuple[tuple[str, Json, str], ...] = (
    ("chat", {"message": "Hello", "model": "no-such-model"}, "No model here is called 'no-such-model'"),
    ("chat", {"messages": "Hello"}, "There is no argument 'messages'"),
    ("chat", {"message": "Hello", "temperature": 77}, "temperature"),
    ("chat", {"message": "Look.", "files": "../../etc/passwd"}, ""),
    ("draft", {"path": "/etc/soak", "message": "Write."}, ""),
    ("draft", {"path": "note0.txt", "message": "Write."}, "overwrite=true"),
    ("set_model", {"name": "no-such-model"}, "No model here is called 'no-such-model'"),
    ("chat", {"message": "Look.", "response_schema": {"type": "no-such-type"}}, ""),
)


async def refused(session: StdioSession, caller: Caller) -> Ending:
    tool, arguments, words = caller.random.choice(REFUSALS)
    result = await session.call(tool, arguments)
    require(bool(result.get("isError")) and words in texts(result)[0], (arguments, result))
    return "refused"


async def cancelled(session: StdioSession, caller: Caller) -> Ending:
    """Give a call up at a random moment; a draft is then there whole, or not at all."""
    word = caller.word()
    name = f"given-up-{caller.name}.json"
    target = caller.project / name
    target.unlink(missing_ok=True)
    only_word: Json = {"response_schema": only(word), "thinking": False}
    tool, arguments = caller.random.choice(
        (
            ("chat", {"message": ENDLESS, "thinking": False, "max_tokens": 3000}),
            ("chat", {"message": LONG, "thinking": False, "model": caller.random.choice(TINIES)}),
            ("chat", {"message": "Look.", "files": "note*.txt", "each_file": True, **only_word}),
            ("draft", {"path": name, "message": "Write.", **only_word}),
            ("set_model", {"name": caller.random.choice(TINIES)}),
            ("quick_test", {}),
        )
    )
    result = await session.given_up(tool, arguments, caller.random.expovariate(2))
    # What the server did until it read the notification is done; a call behind it shows that it has read it.
    await status(session, caller)
    if target.exists():
        require(json.loads(target.read_text()) == {"call": word}, target.read_text())
    if result is None:
        return "cancelled"
    # A client without a model that loops would wait for all of its 3000 tokens; the server ends the loop and says so.
    require(not result.get("isError"), result)
    return "answered"


async def real(session: StdioSession, caller: Caller) -> Ending:
    """Ask the real model, which takes the place of the small one meanwhile."""
    asked, answer = caller.random.choice(sorted(caller.real.items()))
    arguments = {"message": asked, "system": "Be brief.", "max_tokens": 8, "temperature": 0, "model": caller.real_name}
    result = await session.call("chat", arguments)
    require(not result.get("isError") and texts(result)[0] == answer, (asked, answer, result))
    require(result["_meta"]["local-llm/result"]["model"] == caller.real_name, result)
    return "answered"


StdioKind = Callable[[StdioSession, Caller], Awaitable[Ending]]

STDIO: Mapping[str, tuple[float, StdioKind]] = {
    "chat: a short answer": (30, short),
    "chat: a long answer": (2, long),
    "chat: tools": (8, tools),
    "chat: an answer by a schema": (8, schema),
    "chat: files": (5, files),
    "chat: each file by itself, with and without a limit of time": (5, each_file),
    "draft": (8, draft),
    "draft: rows of many files": (3, draft_rows),
    "set_model": (5, switch),
    "quick_test": (3, quick_test),
    "status": (8, status),
    "list_models": (4, list_models),
    "a call that must be refused": (6, refused),
    "a call that the client cancels": (14, cancelled),
}
"""Kinds of calls over stdio, and how often each is drawn."""

REAL_KIND = "chat: the real model"
REAL_WEIGHT = 0.3
"""Its answers take seconds in which no other model answers."""
