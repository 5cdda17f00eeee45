"""The state of an interactive chat and its commands (`/model`, `/file` …). It must not know terminals."""

import difflib
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import anyio.to_thread

from mcp_local_llm.delegation.task import FileAnswer, FileTask
from mcp_local_llm.doors.cli.run import Parts
from mcp_local_llm.values.chat import Message
from mcp_local_llm.values.errors import InvalidRequestError, shortened
from mcp_local_llm.values.progress import ReportProgress

HELP: Mapping[str, str] = {
    "/model [NAME]": "ask this model in this chat; without a name, tell which one answers",
    "/system [TEXT]": "set the system prompt; without a text, show it; - removes it",
    "/file [NAME]": "read this file, range or pattern with every question; without a name, list them; - removes all",
    "/clear": "forget the conversation and the files",
    "/save FILE": "write the conversation as Markdown, or as JSON where the name ends with .json",
    "/help": "show this",
    "/exit": "end the chat, as Ctrl-D does",
}
"""The commands with their meaning."""

KEYS = """\
Enter sends. Alt-Enter, or a \\ at the end of the line, begins a new line.
After \"\"\", Enter begins new lines until the next \"\"\".
Ctrl-R searches the history, Tab completes. Ctrl-C stops an answer, Ctrl-D ends the chat."""

NAMES = tuple(usage.split()[0] for usage in HELP)


class ChatEnded(Exception):
    """The user ends the chat."""


@dataclass
class Conversation:
    """What was said so far.

    Attributes:
        parts: answer and read files.
        task: everything of the next question but its message: system prompt, files, model, history, sampling.
    """

    parts: Parts
    task: FileTask
    answered_by: str = ""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The turns so far, oldest first."""
        return self.task.request.messages

    def question(self, message: str) -> FileTask:
        """Return the task of the next question."""
        return replace(self.task, message=message)

    def add(self, message: str, answer: FileAnswer | str) -> None:
        """Keep a question with its answer, or with the part of it that came before Ctrl-C."""
        text = answer if isinstance(answer, str) else answer.body
        calls = [] if isinstance(answer, str) else list(answer.result.tool_calls)
        turns = (Message(role="user", content=message), Message(role="assistant", content=text, tool_calls=calls))
        self._keep(*self.messages, *turns)
        if not isinstance(answer, str):
            self.answered_by = answer.result.model

    async def run(self, line: str, report: ReportProgress) -> str:
        """Run a command and return what to tell.

        Raises:
            ChatEnded: it is the command for that.
            InvalidRequestError: there is no such command.
            LocalLLMError: it failed.
        """
        commands: Mapping[str, Callable[[str, ReportProgress], Awaitable[str]]] = {
            "/model": self._model,
            "/system": self._system,
            "/file": self._file,
            "/clear": self._clear,
            "/save": self._save,
            "/help": self._help,
            "/exit": self._exit,
        }
        name, _, rest = line.strip().partition(" ")
        run = commands.get(name)
        if run is None:
            near = difflib.get_close_matches(name, NAMES, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise InvalidRequestError(f"There is no command {shortened(name)}.{meant} /help shows all.")
        return await run(rest.strip(), report)

    async def _model(self, name: str, report: ReportProgress) -> str:
        if not name:
            chosen = self.task.model or self.answered_by or (await self.parts.llm.list_models()).chosen
            return f"{chosen} answers." if chosen else "No model is chosen. /model NAME asks one."
        # Counting loads the model, so a name that means none is told now.
        counted = await self.parts.llm.count(("",), report, model=name)
        self.task = replace(self.task, model=counted.model)
        return f"{counted.model} answers from here on; the saved choice stays."

    async def _system(self, text: str, report: ReportProgress) -> str:
        if not text:
            return self.task.system or "There is no system prompt."
        self.task = replace(self.task, system="" if text == "-" else text)
        return "The system prompt is removed." if text == "-" else "The system prompt is set."

    async def _file(self, name: str, report: ReportProgress) -> str:
        files = self._files()
        if not name:
            return "\n".join(files) or "No file is read. /file NAME adds one."
        if name == "-":
            self.task = replace(self.task, files=None)
            return "No file is read any more."
        reader = self.parts.delegation.workplace.reader
        read = await anyio.to_thread.run_sync(lambda: reader.read([name], each_file=False))
        self.task = replace(self.task, files=[*files, name])
        count = len(read.texts)
        return f"{name} ({count} {'file' if count == 1 else 'files'}) is read with every question."

    async def _clear(self, text: str, report: ReportProgress) -> str:
        self._keep()
        self.task = replace(self.task, files=None)
        return "The conversation is forgotten."

    async def _save(self, name: str, report: ReportProgress) -> str:
        if not name:
            raise InvalidRequestError("/save needs the name of a file.")
        if not self.messages:
            raise InvalidRequestError("There is nothing to save yet.")
        path = Path(os.path.expanduser(name))
        text = self._json() if path.suffix == ".json" else self._markdown()
        await anyio.to_thread.run_sync(_write_new, path, text)
        return f"{path} is written."

    async def _help(self, text: str, report: ReportProgress) -> str:
        width = max(map(len, HELP))
        return "\n".join([*(f"{usage:<{width}}  {meaning}" for usage, meaning in HELP.items()), "", KEYS])

    async def _exit(self, text: str, report: ReportProgress) -> str:
        raise ChatEnded

    def _files(self) -> list[str]:
        named = self.task.files
        return [str(one) for one in cast(list[object], named)] if isinstance(named, list) else []

    def _keep(self, *messages: Message) -> None:
        self.task = replace(self.task, request=replace(self.task.request, messages=messages))

    def _json(self) -> str:
        opening = [Message(role="system", content=self.task.system)] if self.task.system else []
        turns = [turn.model_dump(mode="json", exclude_defaults=True) for turn in (*opening, *self.messages)]
        return f"{json.dumps({'model': self.answered_by, 'messages': turns}, indent=1)}\n"

    def _markdown(self) -> str:
        blocks = [f"# Chat with {self.answered_by}"]
        blocks += [f"## System\n\n{self.task.system}"] if self.task.system else []
        blocks += [f"## {turn.role.capitalize()}\n\n{turn.content}" for turn in self.messages]
        return "\n\n".join(blocks) + "\n"


def is_command(line: str) -> bool:
    """Return whether a line is a command: a slash and letters. A path has another slash."""
    first = line.split(maxsplit=1)[0] if line.strip() else ""
    return first.startswith("/") and first[1:].replace("-", "").isalpha()


def _write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, for this user only.

    Raises:
        InvalidRequestError: it is there, or cannot be written.
    """
    handle = -1
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except FileExistsError as error:
        raise InvalidRequestError(f"{path} is there already and stays as it is. Give another name.") from error
    except OSError as error:
        if handle >= 0:
            path.unlink(missing_ok=True)  # Half a conversation is none.
        raise InvalidRequestError(f"{path} cannot be written: {error.strerror}.") from error
