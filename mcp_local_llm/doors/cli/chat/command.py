"""The command `chat`: one question with its answer, or a conversation on a terminal."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from mcp_local_llm.delegation.task import FileTask
from mcp_local_llm.doors.cli.chat import ask as asking
from mcp_local_llm.doors.cli.chat.answer_writer import PlainAnswer, answer_writer
from mcp_local_llm.doors.cli.chat.question_input import (
    STDIN_WAIT_S,
    read_schema,
    read_tools,
    stdin_kind,
    utf8,
    whole_message,
)
from mcp_local_llm.doors.cli.completion import CompleteNames
from mcp_local_llm.doors.cli.run import (
    DONE,
    FAILED,
    INCOMPLETE,
    INTERRUPTED,
    WRONG_REQUEST,
    OpenLLM,
    Parts,
    act,
    fail,
    note,
    telling_failures,
)
from mcp_local_llm.doors.cli.show import JsonOption, print_json
from mcp_local_llm.doors.cli.terminal import is_terminal
from mcp_local_llm.values.chat import ChatRequest, MaxTokens, SamplingParams, Seed, Temperature

EXAMPLES = """\b
Examples:
  mcp-local-llm chat "What is a mutex?"
  mcp-local-llm chat -f src/app.py:10-80 "What does this do?"
  git diff | mcp-local-llm chat "Write a commit message for this."
  mcp-local-llm chat --schema person.json "Ada Lovelace, 36" > ada.json
  mcp-local-llm chat                       (on a terminal: a conversation)

\b
stdin, where it is a pipe or a file, is appended to the message; alone it is the
message. A pipe that sends nothing for 10 s is not waited for, unless a person
sees on stderr that it is, or with --stdin.

\b
Exit code 3: an answer came, but it is cut off, empty or does not validate."""


def within(kind: Any) -> Callable[[Any], Any]:
    """Return a check of an option against the range of a value."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def check(value: Any) -> Any:
        if value is not None:
            try:
                adapter.validate_python(value)
            except ValidationError as error:
                raise typer.BadParameter(f"{value}: {error.errors()[0]['msg']}.") from error
        return value

    return check


Message = Annotated[str, typer.Argument(help="What to ask; - is stdin. Without one, on a terminal: a conversation.")]
System = Annotated[str | None, typer.Option("--system", "-s", help="System prompt.")]
Files = Annotated[
    list[str] | None, typer.Option("--file", "-f", help="Read this: path, path:10-80, pattern, git:staged.")
]
EachFile = Annotated[bool, typer.Option("--each-file", help="Ask the same of every file.")]
Split = Annotated[bool, typer.Option("--split", help="Read what is longer than the window in parts.")]
Template = Annotated[str | None, typer.Option(help="A task template; the message completes it.")]
Schema = Annotated[Path | None, typer.Option(help="The answer is JSON that validates against this JSON Schema.")]
Tools = Annotated[
    Path | None, typer.Option(help="JSON list of tools that the model may ask for; its calls are printed as JSON.")
]
Thinking = Annotated[bool | None, typer.Option(help="Let the model reason first, or not.")]
Longest = Annotated[
    int | None, typer.Option("--max-tokens", help="Longest answer in tokens.", callback=within(MaxTokens))
]
Warmth = Annotated[float | None, typer.Option(help="0 (greedy) to 2.", callback=within(Temperature))]
SeedNumber = Annotated[int | None, typer.Option(help="Repeats an answer.", callback=within(Seed))]
Stdin = Annotated[bool | None, typer.Option(help="Wait for the end of stdin, or do not read it.", show_default=False)]
Plain = Annotated[bool, typer.Option("--plain", help="Do not render Markdown on a terminal.")]


def add_chat_command(commands: typer.Typer, open_llm: OpenLLM, names: CompleteNames, history: Path) -> None:
    """Add `chat`."""
    named = typer.Option("--model", "-m", help="Ask this model; the choice stays.", autocompletion=names)

    def chat(
        message: Message = "",
        system: System = None,
        model: Annotated[str | None, named] = None,
        file: Files = None,
        each_file: EachFile = False,
        split: Split = False,
        template: Template = None,
        schema: Schema = None,
        tools: Tools = None,
        thinking: Thinking = None,
        max_tokens: Longest = None,
        temperature: Warmth = None,
        seed: SeedNumber = None,
        stdin: Stdin = None,
        plain: Plain = False,
        as_json: JsonOption = False,
    ) -> None:
        """Ask the chosen model and write its answer while it comes."""
        with telling_failures():
            request = ChatRequest(
                (),
                read_tools(tools) if tools else (),
                SamplingParams(max_tokens, temperature, seed=seed),
                thinking,
                response_schema=read_schema(schema) if schema else None,
            )
            text = _read_message(message, stdin, optional=template is not None)
            system = utf8(os.fsencode(system or ""), "--system")
        task = FileTask(file or None, text, system, request, model, each_file, split, template)
        alone = not (text.strip() or template or each_file or split or schema or tools or as_json)
        if alone and stdin_kind() == "none" and is_terminal(sys.stdin) and is_terminal(sys.stdout):
            _converse(open_llm, task, history, plain=plain)
        else:
            _ask_once(open_llm, task, plain=plain, as_json=as_json)

    commands.command(epilog=EXAMPLES)(chat)


def _read_message(message: str, stdin: bool | None, *, optional: bool) -> str:
    """Read the message; the wait for a silent pipe has an end where no person sees it. Raises as `whole_message`."""
    wait_s = None if is_terminal(sys.stderr) else STDIN_WAIT_S
    try:
        return whole_message(message, wanted=stdin, optional=optional, note=note, wait_s=wait_s)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)


def _ask_once(open_llm: OpenLLM, task: FileTask, *, plain: bool, as_json: bool) -> None:
    if not task.message.strip() and not task.template:
        fail("There is no message. Give one, or pipe a text into the command.", WRONG_REQUEST)

    async def work(parts: Parts) -> int:
        # JSON and rows are for programs, so they are not rendered.
        data = task.each_file or task.template or task.request.response_schema is not None
        writer = None if as_json else PlainAnswer() if data else answer_writer(plain=plain)
        answer = await asking.ask(parts, task, writer)
        if as_json:
            print_json(asking.as_json(answer))
        else:
            asking.print_notes(answer)
        if answer.failed:
            return FAILED
        return DONE if not answer.single or asking.is_complete(answer.result) else INCOMPLETE

    act(open_llm, work)


def _converse(open_llm: OpenLLM, task: FileTask, history: Path, *, plain: bool) -> None:
    # Imported here: no other command needs prompt_toolkit.
    from mcp_local_llm.doors.cli.chat.interactive import converse

    act(open_llm, lambda parts: converse(parts, task, history, plain=plain))
