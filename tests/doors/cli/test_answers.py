"""How answers come out of the command line: while they are made, as they are, or rendered, and what ends them."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from mcp_local_llm.doors.cli.chat.answer_writer import RenderedAnswer, finished_blocks
from mcp_local_llm.doors.cli.chat.question_input import read_schema, read_tools
from mcp_local_llm.doors.cli.progress_line import SparseLines
from mcp_local_llm.values.errors import InvalidRequestError
from mcp_local_llm.values.progress import Progress
from tests.clients import WAIT_S
from tests.doors.cli.terminal import COMMAND, terminal

ENDLESS = ("chat", "Repeat the word la forever.", "--no-thinking", "--max-tokens", "3900")


def ask(
    environ: dict[str, str], *arguments: str, stdin: bytes = b"", folder: Path | None = None
) -> "subprocess.CompletedProcess[bytes]":
    command = [*COMMAND, "chat", *arguments]
    return subprocess.run(command, env=environ, input=stdin, capture_output=True, timeout=WAIT_S, cwd=folder)


def begin(environ: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start an answer that goes on; its first text has come."""
    process = subprocess.Popen(
        [*COMMAND, *ENDLESS],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell's background job hands an ignored SIGINT on to its children, these tests among them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert os.read(process.stdout.fileno(), 2) == b"la"
    assert process.poll() is None
    return process


def test_text_is_on_stdout_before_the_last_token_and_ctrl_c_keeps_it(held: dict[str, str]) -> None:
    process = begin(held)
    process.send_signal(signal.SIGINT)
    rest, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert rest.startswith(b" la") or rest == b"\n"
    assert rest.endswith(b"\n")
    assert b"interrupted" in said
    assert b"Traceback" not in said


def test_a_reader_that_goes_away_ends_the_command_without_a_word(held: dict[str, str]) -> None:
    process = begin(held)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(WAIT_S) == 141
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()


def test_what_is_piped_beside_a_message_is_appended_and_alone_it_is_the_message(held: dict[str, str]) -> None:
    alone = json.loads(ask(held, "--json", stdin=b"Hello").stdout)
    both = json.loads(ask(held, "--json", "--model", "tiny", "Say", stdin=b"Hello").stdout)
    assert alone["text"] == "Hello! How can I help you today?"
    assert both["usage"]["prompt_tokens"] > alone["usage"]["prompt_tokens"]
    assert {"model", "finish_reason", "usage", "timings", "tool_calls", "complete"} <= set(alone)
    ignored = json.loads(ask(held, "--json", "--no-stdin", "Hello", stdin=b"Say").stdout)
    assert ignored["usage"]["prompt_tokens"] == alone["usage"]["prompt_tokens"]


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        (("Hello",), b"caf\xe9", "stdin is not UTF-8: byte 0xe9 at offset 3."),
        ((), b"\xef\xbb\xbfab\xff", "stdin is not UTF-8: byte 0xff at offset 5."),
        ((os.fsdecode(b"caf\xe9"),), b"", "The message is not UTF-8: byte 0xe9 at offset 3."),
        (("--schema", "latin.json", "Hello"), b"", "--schema: latin.json is not UTF-8: byte 0xe9 at offset 2."),
        (("--temperature", "3", "Hello"), b"", "--temperature"),
        (("--max-tokens", "0", "Hello"), b"", "--max-tokens"),
        (("--seed", "-5", "Hello"), b"", "--seed"),
    ],
)
def test_what_is_wrong_is_refused_by_name(
    environ: dict[str, str], tmp_path: Path, arguments: tuple[str, ...], stdin: bytes, says: str
) -> None:
    (tmp_path / "latin.json").write_bytes(b'{"\xe9": 1}')
    # -I would leave the working folder out of the path; the package is found by its own folder.
    here = {**environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = ask(here, *arguments, stdin=stdin, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert says in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[1]", "holds no JSON object"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_schema_that_is_none_is_refused(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "schema.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidRequestError) as refused:
        read_schema(path)
    assert says in str(refused.value)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        [{"name": "get_weather", "parameters": {"type": "object"}}],
        [{"type": "function", "function": {"name": "get_weather"}}],
        {"tools": [{"name": "get_weather", "inputSchema": {"type": "object"}}]},
    ],
)
def test_tools_are_read_in_the_formats_of_openai_and_mcp(tmp_path: Path, content: object) -> None:
    path = tmp_path / "tools.json"
    path.write_text(json.dumps(content))
    assert [tool.name for tool in read_tools(path)] == ["get_weather"]
    path.write_text('[{"description": "no name"}]')
    with pytest.raises(InvalidRequestError, match=r"0\.name"):
        read_tools(path)


def test_a_schema_holds_the_answer_and_tools_are_called_in_json(held: dict[str, str], tmp_path: Path) -> None:
    schema, tools = tmp_path / "schema.json", tmp_path / "tools.json"
    schema.write_text(json.dumps({"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}))
    done = ask(held, "--schema", str(schema), "Hello")
    assert (done.returncode, set(json.loads(done.stdout))) == (0, {"yes"})
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools.write_text(json.dumps([{"name": "get_weather", "description": "Weather.", "parameters": city}]))
    done = ask(held, "--tools", str(tools), "What is the weather in Paris?")
    assert json.loads(done.stdout) == [{"name": "get_weather", "arguments": {"city": "Paris"}}]


def test_a_question_about_a_file_streams_too(held: dict[str, str]) -> None:
    (Path(held["CLAUDE_PROJECT_DIR"]) / "a.txt").write_text("Some text.\n")
    done = ask(held, "-f", "a.txt", "--no-thinking", "Say hello.", folder=Path(held["CLAUDE_PROJECT_DIR"]))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert b"1 file" in done.stderr


def test_a_pipe_that_nobody_writes_to_is_not_waited_for_without_an_end() -> None:
    code = (
        "from mcp_local_llm.doors.cli.chat.question_input import whole_message as read;"
        "print(read('Hello', wanted=None, optional=False, note=print, wait_s=0.1))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.wait(WAIT_S) == 0
        assert process.stdout is not None
        told = process.stdout.read().decode().splitlines()
    assert told[-1] == "Hello"
    assert "so it was not read" in told[-2]


def test_progress_is_a_line_every_few_seconds_where_there_is_no_terminal() -> None:
    lines: list[str] = []
    now = [0.0]
    with SparseLines(lines.append, clock=lambda: now[0]) as line:
        for second in range(13):
            now[0] = float(second)
            line.report(Progress("answer", second * 10, rate=10.0))
    line.report(Progress("answer", 999))
    assert lines == ["50 tokens, 10 tok/s", "100 tokens, 10 tok/s"]


@pytest.mark.parametrize(
    ("text", "done"),
    [
        ("", ""),
        ("one line", ""),
        ("one\n\n", ""),
        ("one\n\ntwo", "one\n\n"),
        ("one\n\n  indented", ""),
        ("- a\n\n- b", "- a\n\n"),
        ("```py\nx\n\ny\n", ""),
        ("```py\nx\n\ny\n```\n\nz", "```py\nx\n\ny\n```\n\n"),
        ("~~~\n```\n\na\n", ""),
        ("````\n```\n\na\n````\n\nb", "````\n```\n\na\n````\n\n"),
        ("a\n\n```\nb\n\nc", "a\n\n"),
    ],
)
def test_a_block_of_markdown_is_finished_where_later_text_cannot_change_it(text: str, done: str) -> None:
    assert finished_blocks(text) == (done, text[len(done) :])


def test_markdown_is_rendered_block_by_block_and_controls_the_terminal_never() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=40, height=10, color_system="standard")
    answer = RenderedAnswer(console)
    for letter in "# Title\n\nSome **bold** text\x1b]0;title\x07.\n\n```\ncode\n\nmore\n```\n":
        answer.write(letter)
    answer.end()
    file = console.file
    assert isinstance(file, io.StringIO)
    shown = file.getvalue()
    assert "**" not in shown
    assert "\x1b[1mbold" in shown
    assert "\x1b]0" not in shown
    assert "more" in shown


def test_markdown_is_not_rendered_with_plain(held: dict[str, str]) -> None:
    with terminal(held, "chat", "Hello", "--plain") as plain:
        plain.until("Hello! How can I help you today?")
        assert plain.ended() == 0
