"""The values of delegated work: what a door read from a call, and what it writes back. Pure."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp_local_llm.values.chat import ChatRequest, ChatResult, Message
from mcp_local_llm.values.errors import InvalidRequestError


@dataclass(frozen=True)
class FileTask:
    """A task on files, as a call gives it.

    Attributes:
        files: a name or a list of names, not yet read; None where a draft needs none.
        message: the question or task; may be empty with a template.
        system: the caller's system prompt.
        request: everything else of the request; its messages are the history.
        model: the model that the call names.
        each_file: ask about each file by itself.
        split: read what is longer than the window in parts.
        template: name of a task template.
        max_seconds: seconds after which a call over many files ends with what there is.
    """

    files: object | None
    message: str = ""
    system: str = ""
    request: ChatRequest = field(default_factory=lambda: ChatRequest(()))
    model: str | None = None
    each_file: bool = False
    split: bool = False
    template: str | None = None
    max_seconds: float | None = None

    @property
    def text(self) -> str:
        """Everything that the caller wrote."""
        return "\n".join([self.system, *(message.content for message in self.request.messages), self.message])

    @property
    def on_files(self) -> bool:
        """Whether it is for `Delegation.chat`; else it is a plain conversation."""
        return bool(self.files or self.template or self.each_file or self.split)

    @property
    def ignored(self) -> str:
        """A sentence on what has no effect; empty where everything has one."""
        if self.max_seconds is None or self.each_file:
            return ""
        return "max_seconds had no effect: it ends calls with each_file=true."

    def conversation(self) -> tuple[Message, ...]:
        """Return the turns of a plain one; a model that is given tool results answers them, without a message behind.

        Raises:
            InvalidRequestError: there is nothing to answer.
        """
        turns = (Message(role="system", content=self.system),) if self.system else ()
        history = self.request.messages
        if self.message:
            return (*turns, *history, Message(role="user", content=self.message))
        if not history or history[-1].role != "tool":
            raise InvalidRequestError(
                "message is empty. Put the task into it; it may be empty only where history ends with a tool result."
            )
        return (*turns, *history)


@dataclass(frozen=True)
class DraftOrder:
    """A file to be written.

    Attributes:
        path: where to, relative to the project or absolute; with `each_file` it may hold `{stem}`, `{name}`, `{dir}`.
        task: what to write; nothing of it has an effect with `restore`.
        overwrite: whether a file that exists may be replaced.
        restore: bring back the version that the last draft replaced.
    """

    path: str
    task: FileTask | None = None
    overwrite: bool = False
    restore: bool = False


@dataclass(frozen=True)
class TokensSaved:
    """Tokens that did not pass through the caller's context, and those that did, by the answering model's tokenizer.

    Attributes:
        read: tokens of the texts that were read here.
        written: tokens of the files that were written here.
        sent: tokens of the call's own text.
        returned: tokens of the text that goes back.
        estimated: the model's server does not count, so the numbers are estimated from the characters.
    """

    read: int = 0
    written: int = 0
    sent: int = 0
    returned: int = 0
    estimated: bool = False

    @property
    def saved(self) -> int:
        """Tokens that stayed out of the caller's context; negative where the call cost more than reading."""
        return self.read + self.written - self.sent - self.returned

    def __add__(self, other: "TokensSaved") -> "TokensSaved":
        return TokensSaved(
            self.read + other.read,
            self.written + other.written,
            self.sent + other.sent,
            self.returned + other.returned,
            self.estimated or other.estimated,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the numbers for `_meta` and the like."""
        return {
            "tokens_read": self.read,
            "tokens_written": self.written,
            "tokens_sent": self.sent,
            "tokens_returned": self.returned,
            "tokens_saved": self.saved,
            "estimated": self.estimated,
        }


@dataclass(frozen=True)
class FileAnswer:
    """The outcome of delegated work.

    Attributes:
        head: sentences of this program; they go into a text block of their own.
        body: the model's words; empty for a draft.
        result: the answer with its numbers; those of several answers are added up, and its text is `body`.
        saved: what the call kept out of the caller's context.
        files: paths that were written, or that hold the rest of a long answer; doors offer them as links.
        failed: whether nothing came of it.
        single: `result` is one answer, whose own end (cut off, looped) is to be told.
    """

    head: str
    body: str
    result: ChatResult
    saved: TokensSaved = field(default_factory=TokensSaved)
    files: tuple[Path, ...] = ()
    failed: bool = False
    single: bool = False
