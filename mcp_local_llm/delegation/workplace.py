"""What delegated work needs besides a model: a reader of files, places for drafts, the state folder, templates."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from mcp_local_llm.delegation.task import TokensSaved
from mcp_local_llm.files.access.roots import Roots, without_links
from mcp_local_llm.files.access.secrets import secret_name
from mcp_local_llm.files.reading.file_text import FileText
from mcp_local_llm.files.reading.reader import FileReader
from mcp_local_llm.files.tasks.template import Templates
from mcp_local_llm.files.writing.drafts import Drafts
from mcp_local_llm.files.writing.state import StateFolder
from mcp_local_llm.setup.places import from_home
from mcp_local_llm.values.chat import ChatResult
from mcp_local_llm.values.errors import FileAccessError
from mcp_local_llm.values.model import human_bytes

MEASURED_TOKENS = 64
"""Tokens that a prompt must have computed for its time to count as a measurement."""


@dataclass
class Totals:
    """Numbers since the start of this session.

    Attributes:
        saved: tokens over all calls.
        calls: calls with files, and drafts.
        prefill_rate: prompt tokens per second, of the last long prompt; 0 before one was measured.
    """

    saved: TokensSaved = field(default_factory=TokensSaved)
    calls: int = 0
    prefill_rate: float = 0.0

    def measure(self, result: ChatResult) -> None:
        """Take the speed of a prompt."""
        computed = result.usage.prompt_tokens - result.usage.cached_tokens
        if computed >= MEASURED_TOKENS and result.timings.prefill_s > 0:
            self.prefill_rate = computed / result.timings.prefill_s


@dataclass(frozen=True)
class Workplace:
    """The session's own means; nothing of it is the lease owner's.

    Attributes:
        reader: reads files inside the roots.
        state: keeps old versions, long answers and the rows of calls that ended early.
        templates: the task templates.
        key: makes the tags of the fences; random for each process.
        totals: counts over all calls.
    """

    reader: FileReader
    state: StateFolder
    templates: Templates
    key: bytes
    totals: Totals = field(default_factory=Totals)

    @property
    def roots(self) -> Roots:
        """The folders that count."""
        return self.reader.roots

    def drafts(self) -> Drafts:
        """Return where drafts may be written; the agent's own rules are read anew.

        Raises:
            FileAccessError: those rules cannot be read.
        """
        gate = self.reader.gate(("Read", "Edit", "Write"))
        return Drafts(self.roots.folders, lambda path: gate.check(path, str(path)), self.state)

    def absolute(self, path: str) -> Path:
        """Return the place that a path names: absolute, below home, or relative to the project.

        Raises:
            FileAccessError: there is no project.
        """
        named = from_home(path, self.roots.home)
        if named.is_absolute():
            return named
        if self.roots.base is None:
            raise FileAccessError(self.roots.told(), "outside")
        return self.roots.base / named

    def files_among(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the words that are paths of files in the project; at most three."""
        return tuple(islice(filter(self._is_file, words), 3))

    def _is_file(self, word: str) -> bool:
        """Whether a word names a file that may be read; nothing is told about others."""
        if self.roots.base is None or len(word) >= 300:
            return False
        try:
            path = without_links(self.roots.base / word)
            return self.roots.root_of(path) is not None and not secret_name(path.parts[1:]) and path.is_file()
        except (OSError, ValueError):
            return False

    def notes(self) -> tuple[str, ...]:
        """Return sentences for the status: roots, what is kept, tokens that stayed out of the context."""
        size = self.state.size()
        notes = [self.roots.told()]
        if size.files:
            notes.append(f"{self.state.path} keeps {size.files} files, {human_bytes(size.size_bytes)}.")
        if self.totals.calls:
            notes.append(f"{self.totals.calls} calls with files: {saved_words(self.totals.saved)}")
        return tuple(notes)


def saved_words(saved: TokensSaved, texts: tuple[FileText, ...] = ()) -> str:
    """Say how many tokens a call kept out of the caller's context, or that reading had been cheaper."""
    about = "about " if saved.estimated else ""
    if saved.saved >= 0:
        return f"{about}{saved.saved:,} tokens stayed out of your context."
    if not saved.read and not saved.written:
        return f"{about}{-saved.saved:,} tokens went into a call that read nothing."
    if not saved.read:
        return f"{about}{-saved.saved:,} tokens more than writing it yourself."
    size = human_bytes(sum(len(text.text.encode("utf-8", "replace")) for text in texts))
    what = f" for {'one file' if len(texts) == 1 else f'{len(texts)} files'} of {size}" if texts else ""
    return f"{about}{-saved.saved:,} tokens more than reading: Read is cheaper{what}."
