"""Calls that no client should send, over the pipe of a real server: one answer each, its own, that says what to do."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.clients import private_environ
from tests.reliability.drawn import TEXTS, VALUES, as_json, drawn, fault_of_error, nested
from tests.wire import Json, Wire, open_wire

pytestmark = pytest.mark.usefixtures("anyio_backend")
GROUP = "Bad input"
TOOLS = ("chat", "set_model", "quick_test", "list_models", "status", "draft")
AT_ONCE = 10
"""Calls that are under way together: fewer than the queue takes."""
ANSWERED = {"chat": {"message": "Hello"}, "draft": {"message": "Hello", "path": "a.txt", "overwrite": True}}
"""Arguments with which a tool does something; each call changes some of them."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def wire(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Wire]:
    home = tmp_path_factory.mktemp("home")
    project = home / "project"
    project.mkdir()
    environ = {**private_environ(home), "CLAUDE_PROJECT_DIR": str(project), "MCP_LOCAL_LLM_MAX_GENERATION_TOKENS": "4"}
    async with open_wire(environ, era="legacy") as opened:
        yield opened
        # Every answer belongs to a request, and the process has told of no defect.
        assert "Traceback" not in opened.errors(), opened.errors()[-3000:]


@pytest.fixture(scope="module")
async def schemas(wire: Wire) -> dict[str, Json]:
    """The schema of the arguments of each tool."""
    listed = (await wire.answer(await wire.request("tools/list", {})))["result"]["tools"]
    assert [tool["name"] for tool in listed] == list(TOOLS)
    return {tool["name"]: tool["inputSchema"] for tool in listed}


def calls_of(tool: str, schema: Json) -> SearchStrategy[Json]:
    """Arguments of a tool: known names with any value, sometimes a name that it does not know."""
    known = sorted(schema["properties"])
    odd = st.dictionaries(st.sampled_from(known) if known else TEXTS, VALUES, max_size=3)
    more = st.dictionaries(TEXTS, VALUES, max_size=1)
    base = st.sampled_from([{}, ANSWERED.get(tool, {})])
    return st.tuples(base, odd, more).map(joined)


def joined(parts: tuple[Json, ...]) -> Json:
    return {name: value for part in parts for name, value in part.items()}


def failure_of(message: Json) -> str | None:
    """The text of an error; None where the call was answered."""
    if "error" in message:
        return message["error"]["message"]
    result = message["result"]
    return " ".join(block.get("text", "") for block in result["content"]) if result.get("isError") else None


async def sent_all(wire: Wire, lines: list[tuple[Any, str]]) -> dict[Any, Json]:
    """Send lines, some at once, and wait for the answer to each; there is exactly one."""
    assert wire.process.stdin is not None
    answers: dict[Any, Json] = {}
    for start in range(0, len(lines), AT_ONCE):
        part = lines[start : start + AT_ONCE]
        await wire.process.stdin.send("".join(f"{line}\n" for _, line in part).encode())
        for ident, _ in part:
            answers[ident] = await wire.answer(ident)
    everything = wire.messages()
    for ident, _ in lines:
        assert sum(message.get("id") == ident for message in everything) == 1, ident
    return answers


def line_of(ident: str, method: str, params: Any) -> str:
    return as_json({"jsonrpc": "2.0", "id": ident, "method": method, "params": params})


@pytest.mark.fault(
    GROUP,
    "the tool {tool} with arguments of wrong types, out of range or unknown, ten calls at once",
    promised="each call gets one answer, its own; an error is a sentence without a trace",
    tries=200,
)
@pytest.mark.parametrize("tool", TOOLS)
async def test_a_call_with_odd_arguments_gets_one_answer(
    wire: Wire, schemas: dict[str, Json], tool: str, tries: int
) -> None:
    odd = drawn(calls_of(tool, schemas[tool]), tries)
    # An unknown argument that names the call shows that the refusal is its own.
    tagged = [{**call, f"tag_{tool}_{number}": 1} for number, call in enumerate(odd[::4])]
    lines = [
        (f"{tool}-{number}", line_of(f"{tool}-{number}", "tools/call", {"name": tool, "arguments": arguments}))
        for number, arguments in enumerate([*tagged, *odd, {"message": nested(150)}])
    ]
    answers = await sent_all(wire, lines)
    wrong = {
        ident: (fault, line[:500])
        for ident, line in lines
        if (message := failure_of(answers[ident])) is not None and (fault := fault_of_error(message))
    }
    assert wrong == {}
    for number, arguments in enumerate(tagged):
        told = failure_of(answers[f"{tool}-{number}"]) or ""
        # Infinity is no JSON, and ten unknown names are told at most.
        assert f"tag_{tool}_{number}" in told or "cannot be read" in told or len(arguments) > 10, told


METHODS = (
    "tools/call",
    "tools/list",
    "prompts/get",
    "prompts/list",
    "completion/complete",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "ping",
    "logging/setLevel",
    "no/such",
    "initialize",
)


@pytest.mark.fault(
    GROUP,
    "requests of the protocol with any parameters",
    promised="each gets one answer, its own; an error is a sentence without a trace",
    tries=300,
)
async def test_a_request_with_odd_parameters_gets_one_answer(wire: Wire, tries: int) -> None:
    names = st.sampled_from(["name", "arguments", "ref", "argument", "uri", "cursor", "level", "_meta", "context"])
    params = st.dictionaries(names | TEXTS, VALUES, max_size=4)
    requests = drawn(st.tuples(st.sampled_from(METHODS), params), tries)
    lines = [(f"r{n}", line_of(f"r{n}", method, given)) for n, (method, given) in enumerate(requests)]
    answers = await sent_all(wire, lines)
    leaks = [text for answer in answers.values() if "Traceback" in (text := as_json(answer))]
    assert leaks == []


PROMPTS = ("switch-model", "delegate", "review", "commit", "condense")


@pytest.mark.fault(
    GROUP,
    "the prompt {prompt} with any arguments",
    promised="each request gets one answer, its own",
    tries=100,
)
@pytest.mark.parametrize("prompt", PROMPTS)
async def test_a_prompt_with_odd_arguments_gets_one_answer(wire: Wire, prompt: str, tries: int) -> None:
    names = st.sampled_from(["name", "task", "files", "hint", "file", "word2", "word8", "word24"]) | TEXTS
    arguments = drawn(st.dictionaries(names, TEXTS | VALUES, max_size=4), tries)
    lines = [
        (f"{prompt}-{n}", line_of(f"{prompt}-{n}", "prompts/get", {"name": prompt, "arguments": given}))
        for n, given in enumerate(arguments)
    ]
    answers = await sent_all(wire, lines)
    told = [answer["error"]["message"] for answer in answers.values() if "error" in answer]
    assert [fault for message in told if (fault := fault_of_error(f"{message}."))] == []


def cut(drawing: tuple[str, Any, int]) -> bytes:
    """A request, or the beginning of one."""
    method, params, missing = drawing
    line = line_of("raw", method, params).encode()
    return line[: max(0, len(line) - missing)]


def whole(value: Any) -> bytes:
    return as_json(value).encode()


def one_line(data: bytes) -> bytes:
    return data.replace(b"\n", b" ")


RAW = st.one_of(
    st.binary(max_size=60).map(one_line),
    st.tuples(st.sampled_from(METHODS), VALUES, st.integers(0, 40)).map(cut),
    VALUES.map(whole),
)


@pytest.mark.fault(
    GROUP,
    "lines on stdin that are no request: bytes, halves of lines, other JSON",
    promised="nothing is answered twice, and the next request is answered",
    tries=500,
)
async def test_a_line_that_is_no_request_disturbs_no_other(wire: Wire, tries: int) -> None:
    assert wire.process.stdin is not None
    for number, line in enumerate(drawn(RAW, tries)):
        await wire.process.stdin.send(line + b"\n")
        if number % 20 == 19:
            ident = f"after-{number}"
            await wire.process.stdin.send(line_of(ident, "ping", {}).encode() + b"\n")
            assert (await wire.answer(ident))["result"] == {}
    assert {message["jsonrpc"] for message in wire.messages()} == {"2.0"}
