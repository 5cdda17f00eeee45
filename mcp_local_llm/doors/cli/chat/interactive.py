"""The interactive chat: a prompt with history, answers that Ctrl-C stops, commands that begin with a slash."""

import asyncio
import os
import signal
import termios
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from mcp_local_llm.delegation.task import FileTask
from mcp_local_llm.doors.cli.chat import ask as asking
from mcp_local_llm.doors.cli.chat.answer_writer import AnswerWriter, answer_writer
from mcp_local_llm.doors.cli.chat.conversation import NAMES, ChatEnded, Conversation, is_command
from mcp_local_llm.doors.cli.progress_line import progress_line
from mcp_local_llm.doors.cli.run import Parts, note
from mcp_local_llm.doors.cli.show import print_text
from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.setup.log import logged_call
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.values.call import Call
from mcp_local_llm.values.errors import LocalLLMError

PROMPT, CONTINUED = ">>> ", "... "
QUOTES = '"""'
"""Opens and closes a message of several lines."""
MAX_HISTORY_BYTES = 16 * 2**20
"""The most bytes of the file with what was typed in all chats."""


async def converse(parts: Parts, task: FileTask, history: Path, *, plain: bool) -> None:
    """Talk until the user ends the chat.

    Args:
        parts: answer the questions.
        task: gives system prompt, files, model and sampling.
        history: file of what was typed in earlier chats.
        plain: do not render Markdown.
    """
    talk = Conversation(parts, task)
    session = _session(parts.llm, history)
    chosen = task.model or (await parts.llm.list_models()).chosen
    print_text(f"{chosen or 'No model is chosen yet'}. /help shows the commands, Ctrl-D ends the chat.")
    with _keys_kept():
        await _talk(talk, session, plain=plain)


async def _talk(talk: Conversation, session: PromptSession[str], *, plain: bool) -> None:
    while True:
        try:
            typed = await session.prompt_async(PROMPT, prompt_continuation=CONTINUED)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        line = _unquoted(typed)
        if not line:
            continue
        try:
            if is_command(line):
                await _run(talk, line)
            else:
                await _answer(talk, line, answer_writer(plain=plain))
        except ChatEnded:
            return
        except LocalLLMError as error:
            note(str(error))


async def _run(talk: Conversation, line: str) -> None:
    with _stopped_by_interrupt() as scope, progress_line() as progress:
        told = await talk.run(line, progress.report)
    print_text("stopped" if scope.cancelled_caught else told)


async def _answer(talk: Conversation, message: str, writer: AnswerWriter) -> None:
    """Answer a question; Ctrl-C keeps what came of the answer."""
    recorded = _Recorded(writer)
    with _stopped_by_interrupt() as scope, logged_call(Call("cli chat")):
        answer = await asking.ask(talk.parts, talk.question(message), recorded)
        talk.add(message, answer)
        asking.print_notes(answer)
    if scope.cancelled_caught:
        if recorded.text.strip():
            talk.add(message, recorded.text)
        note("stopped")


class _Recorded:
    """A writer that keeps what it wrote."""

    def __init__(self, writer: AnswerWriter) -> None:
        self._writer = writer
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text
        self._writer.write(text)

    def end(self) -> None:
        self._writer.end()


@contextmanager
def _keys_kept() -> Generator[None]:
    """Keep keys that are typed during an answer for the next prompt, Ctrl-D among them, and do not show them yet.

    A terminal that reads lines would write them into the answer and take Ctrl-D for itself. Ctrl-C still is a signal,
    which stops an answer and nothing else.
    """
    interrupt = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    before = termios.tcgetattr(0)
    kept = termios.tcgetattr(0)
    kept[0] &= ~termios.ICRNL
    kept[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(0, termios.TCSADRAIN, kept)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        signal.signal(signal.SIGINT, interrupt)


@contextmanager
def _stopped_by_interrupt() -> Generator[anyio.CancelScope]:
    """Cancel the block on Ctrl-C; a cancelled block ends here, and the chat goes on."""
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT)
    with anyio.CancelScope() as scope:
        loop.add_signal_handler(signal.SIGINT, scope.cancel)
        try:
            yield scope
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, before)


def _session(llm: LLM, history: Path) -> PromptSession[str]:
    return PromptSession(
        history=_history(history),
        multiline=True,
        key_bindings=_keys(),
        completer=_Names(llm),
        complete_while_typing=False,
        enable_history_search=False,
    )


def _history(path: Path) -> History:
    """Return the history in a file that only this user can read; in memory where there can be no such file."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not opened for writing alone: that would wait where a FIFO lies.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        read_regular(path, MAX_HISTORY_BYTES)
    except OSError as error:
        note(f"what you type is not kept: {path}: {error.strerror}")
        return InMemoryHistory()
    return _KeptHistory(path)


class _KeptHistory(FileHistory):
    """A history in a file; what does not fit on its disk is kept for this chat alone."""

    def store_string(self, string: str) -> None:
        """Add a message to the file."""
        with suppress(OSError):
            super().store_string(string)


def _keys() -> KeyBindings:
    """Let Enter send, unless the message goes on; Alt-Enter begins a new line."""
    keys = KeyBindings()

    @keys.add("enter", filter=has_focus(DEFAULT_BUFFER))
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        text = buffer.document.text_before_cursor
        if text.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        elif buffer.text.lstrip().startswith(QUOTES) and buffer.text.count(QUOTES) % 2:
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=has_focus(DEFAULT_BUFFER))
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def _unquoted(typed: str) -> str:
    text = typed.strip()
    if text.startswith(QUOTES):
        text = text.removeprefix(QUOTES).removesuffix(QUOTES).strip("\n")
    return text


class _Names(Completer):
    """Completes commands, names of models after /model, and paths after /file and /save."""

    def __init__(self, llm: LLM) -> None:
        self._llm = llm
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> list[Completion]:
        """Return nothing: the chat completes without blocking."""
        return []

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion]:
        """Complete the word before the cursor."""
        command, space, rest = document.text_before_cursor.partition(" ")
        if not space:
            for name in NAMES if command.startswith("/") else ():
                if name.startswith(command):
                    yield Completion(name, -len(command))
        elif command == "/model":
            try:
                found = await self._llm.complete(rest)
            except LocalLLMError:
                return
            for name in found:
                yield Completion(name, -len(rest))
        elif command in ("/file", "/save"):
            for one in self._paths.get_completions(Document(rest), complete_event):
                yield one
