"""Every verb over a real socket: what is asked arrives, and what is answered comes back as it was."""

import inspect
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from mcp_local_llm.llm import remote as remote_module
from mcp_local_llm.llm import verb_server
from mcp_local_llm.llm.llm import LLM, Caller, collect_result
from mcp_local_llm.llm.remote import Remote
from mcp_local_llm.llm.session import Session
from mcp_local_llm.llm.verb_lines import VERBS
from mcp_local_llm.values import errors
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, Message, SamplingParams, ToolSpec
from mcp_local_llm.values.errors import (
    AmbiguousModelError,
    GenerationError,
    HolderGoneError,
    InvalidRequestError,
    LocalLLMError,
)
from mcp_local_llm.values.progress import Progress
from mcp_local_llm.values.results import Counts, ModelTable
from tests.clients import WAIT_S
from tests.llm.scripted import DOWNLOAD, HELLO, RESULT, STATUS, SWITCH, TEST, ScriptedLLM, ignore, serving

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LocalLLMError)]


def conforms(kind: type[LLM]) -> type[LLM]:
    return kind


def test_every_executor_has_every_verb() -> None:
    # The type checker compares the signatures here.
    conforms(Remote)
    conforms(Session)
    verbs = {name for name, _ in inspect.getmembers(LLM, inspect.isfunction) if not name.startswith("_")}
    assert verbs == set(VERBS) - {"drain"}


async def test_a_chat_arrives_whole_and_its_chunks_and_result_come_back_whole(tmp_path: Path) -> None:
    request = ChatRequest(
        (Message(role="user", content="é or 🦊?"), Message(role="tool", content="x", tool_call_id="1")),
        tools=(ToolSpec(name="f", parameters={"type": "object", "properties": {"a": {}}}),),
        sampling=SamplingParams(7, 0.5, 0.9, 1, ("a", "b"), 3, 0.1, 1.1, 0.2, 0.3, 0),
        thinking=False,
        stream=True,
        client="box",
        max_thinking_tokens=0,
        response_schema={"type": "object"},
        prompt=None,
    )
    caller = Caller("pid 7", "coding", SamplingParams(top_k=4))
    llm, seen = ScriptedLLM(), list[Progress]()
    async with serving(tmp_path, llm) as remote:
        chunks = [chunk async for chunk in remote.chat(request, seen.append, model="m", caller=caller)]
    assert llm.asked == [("chat", request, "m", caller)]
    assert [(chunk.text, chunk.reasoning, chunk.model) for chunk in chunks[:-1]] == [
        ("Half ", "", "org/model"),
        ("", "Hm.", "org/model"),
    ]
    assert chunks[-1].result == RESULT


async def test_every_other_verb_returns_its_value(tmp_path: Path) -> None:
    llm, caller = ScriptedLLM(), Caller("c", "m")
    async with serving(tmp_path, llm) as remote:
        assert await remote.set_model("x", ignore, download=True) == SWITCH
        assert await remote.download("y", ignore) == DOWNLOAD
        assert await remote.quick_test("math", ignore, caller=caller) == TEST
        assert await remote.list_models(caller=caller) == ModelTable(models=[], chosen="m", warnings=["w"])
        assert await remote.status() == STATUS
        assert await remote.counters() == Counts(asked=3)
        assert await remote.complete("a") == ("a", "b")
        assert await remote.candidates("c") == ("c",)
        assert await remote.unload(ignore, force=True) == STATUS
        await remote.drain()
    assert llm.asked == [
        ("set_model", "x", True),
        ("download", "y"),
        ("quick_test", "math", caller),
        ("list_models", caller),
        ("counters",),
        ("complete", "a"),
        ("candidates", "c"),
        ("unload", True),
        "drain",
    ]


@pytest.mark.parametrize("kind", KINDS)
async def test_every_error_arrives_as_it_was_raised(tmp_path: Path, kind: type[LocalLLMError]) -> None:
    raised = AmbiguousModelError("Two.", ("a", "b")) if kind is AmbiguousModelError else kind("What, and what to do.")
    async with serving(tmp_path, ScriptedLLM(raised)) as remote:
        with pytest.raises(LocalLLMError) as told:
            await collect_result(remote.chat(HELLO, ignore))
    assert type(told.value) is kind
    assert str(told.value) == str(raised)
    if isinstance(told.value, AmbiguousModelError):
        assert told.value.candidates == ("a", "b")
    if isinstance(told.value, HolderGoneError):
        assert told.value.leaving


async def test_a_defect_in_one_verb_is_told_and_ends_nothing_else(tmp_path: Path) -> None:
    llm = ScriptedLLM(ZeroDivisionError("secret"))
    async with serving(tmp_path, llm) as remote:
        with pytest.raises(GenerationError, match="its log says why") as told:
            await remote.set_model("x", ignore)
        assert "secret" not in str(told.value)
        assert await remote.status() == STATUS


async def test_progress_travels_while_a_verb_runs(tmp_path: Path) -> None:
    llm, seen = ScriptedLLM(), list[Progress]()
    llm.go_on = anyio.Event()

    def report(progress: Progress) -> None:
        seen.append(progress)
        llm.go_on.set()

    async with serving(tmp_path, llm) as remote:
        assert await collect_result(remote.chat(HELLO, report)) == RESULT
    assert seen == [Progress("prefill", 1, 2)]


@pytest.mark.parametrize("verb", ["chat", "set_model"])
async def test_cancelling_a_call_cancels_the_verb(tmp_path: Path, verb: str) -> None:
    llm = ScriptedLLM()
    llm.go_on = anyio.Event()
    async with serving(tmp_path, llm) as remote:
        async with anyio.create_task_group() as tasks:
            if verb == "chat":
                tasks.start_soon(collect_result, remote.chat(HELLO, ignore))
            else:
                tasks.start_soon(remote.set_model, "x", ignore)
            await llm.begun.wait()
            tasks.cancel_scope.cancel()
        await llm.cancelled.wait()


class Flood(ScriptedLLM):
    """Writes more than a socket holds."""

    async def chat(self, *_: Any, **__: Any) -> AsyncGenerator[ChatChunk]:
        while True:
            yield ChatChunk(text="x" * 2**16)


async def test_a_session_that_leaves_in_the_middle_of_a_flood_is_given_up(tmp_path: Path) -> None:
    async with serving(tmp_path, Flood()) as remote:
        async with aclosing(remote.chat(HELLO, ignore)) as chunks:
            assert len((await anext(chunks)).text) == 2**16
        assert await remote.status() == STATUS


async def raw(tmp_path: Path, first: bytes) -> list[dict[str, Any]]:
    """All that the owner answers to one line."""
    with anyio.fail_after(WAIT_S):
        async with await anyio.connect_unix(tmp_path / "holder.sock") as stream:
            await stream.send(first)
            reader, lines = BufferedByteReceiveStream(stream), list[dict[str, Any]]()
            while True:
                try:
                    lines.append(json.loads(await reader.receive_until(b"\n", 2**20)))
                except anyio.IncompleteRead:
                    return lines


@pytest.mark.parametrize(
    ("line", "name", "words"),
    [
        (b"no json\n", "BackendProtocolError", "no line of ours"),
        (b"[1, 2]\n", "BackendProtocolError", "no line of ours"),
        (b"[" * 100_000 + b"\n", "BackendProtocolError", "no line of ours"),
        (b'{"verb": "chat", "arguments": [' + b"[]," * 600_000 + b"1]}\n", "InvalidRequestError", "600,000 values"),
        (b'{"verb": "fly"}\n', "InvalidRequestError", "knows no verb 'fly'"),
        (b'{"verb": "__init__"}\n', "InvalidRequestError", "knows no verb"),
        (b'{"verb": "set_model", "arguments": 3}\n', "BackendProtocolError", "does not hold what it should"),
        (b'{"verb": "set_model", "arguments": {"name": 5}}\n', "BackendProtocolError", "does not hold what it should"),
        (b'{"verb": "chat", "arguments": {"request": {}}}\n', "BackendProtocolError", "does not hold what it should"),
    ],
)
async def test_a_line_that_is_no_verb_is_an_error_line(tmp_path: Path, line: bytes, name: str, words: str) -> None:
    async with serving(tmp_path, ScriptedLLM()):
        hello, told = await raw(tmp_path, line)
    assert set(hello) == {"protocol", "version", "pid"}
    assert told["error"]["name"] == name
    assert words in told["error"]["message"]


async def test_a_line_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb_server, "MAX_LINE", 1000)
    async with serving(tmp_path, ScriptedLLM()) as remote:
        with pytest.raises(LocalLLMError, match="longer than"):
            await remote.complete("x" * 2000)


async def test_a_line_that_is_too_long_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_module, "MAX_LINE", 1000)
    async with serving(tmp_path, ScriptedLLM()) as remote:
        with pytest.raises(InvalidRequestError, match="longer than 32 MiB"):
            await remote.complete("x" * 2000)
        assert await remote.complete("a") == ("a", "b")


async def test_members_that_a_newer_version_added_are_passed_over(tmp_path: Path) -> None:
    async with serving(tmp_path, ScriptedLLM()):
        line = {"verb": "complete", "arguments": {"typed": "a", "colour": 1}, "sky": True}
        _, told = await raw(tmp_path, json.dumps(line).encode() + b"\n")
    assert told == {"result": ["a", "b"]}
