"""One call: its files read, its task completed, its tokens counted, and the means to ask."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath

import anyio.to_thread

from mcp_local_llm.delegation.asking import Asker
from mcp_local_llm.delegation.requests import Question, question_of
from mcp_local_llm.delegation.task import FileTask, TokensSaved
from mcp_local_llm.delegation.workplace import Workplace
from mcp_local_llm.files.reading.file_text import Reading
from mcp_local_llm.llm.llm import LLM, OnText
from mcp_local_llm.values.chat import ChatRequest, TokenCounts
from mcp_local_llm.values.errors import InvalidRequestError
from mcp_local_llm.values.progress import ReportProgress


@dataclass(frozen=True)
class Call:
    """Everything that a call needs once its files are read.

    Attributes:
        task: as the door read it.
        question: the task, completed by its template.
        reading: the files.
        workplace: the session's means.
        asker: asks and counts with the call's model.
        path: the one file that the answer becomes.
        edits: answers replace the files that are read, so they are never made from notes about parts.
    """

    task: FileTask
    question: Question
    reading: Reading
    workplace: Workplace
    asker: Asker
    path: PurePath | None = None
    edits: bool = False

    @property
    def splits(self) -> bool:
        """Whether what is longer than the window is read in parts."""
        return self.task.split and not self.edits

    async def counted(self, requests: tuple[ChatRequest, ...]) -> tuple[TokenCounts, TokensSaved]:
        """Count requests, and with them the files and the call's own text."""
        texts = [text.text for text in self.reading.texts]
        counts = await self.asker.count((*requests, *texts, self.task.text))
        of_texts = counts.tokens[len(requests) : -1]
        saved = TokensSaved(read=sum(of_texts), sent=counts.tokens[-1], estimated=counts.estimated)
        return counts, saved

    async def tokens(self, text: str) -> int:
        """Count a text."""
        return (await self.asker.count((text,))).tokens[0]

    def keep(self, text: str, ending: str) -> Path:
        """Keep a text that is too long to go back, and return where."""
        return self.workplace.state.keep_answer(self.task.template or "answer", text, ending)


async def begin(
    task: FileTask, workplace: Workplace, llm: LLM, report: ReportProgress, on_text: OnText | None = None
) -> Call:
    """Read the files and complete the task; nothing is asked yet. `on_text` is that of `Asker`.

    Raises:
        InvalidRequestError: the task is not whole, or there is no such template.
        FileAccessError: a file cannot be read.
    """
    if task.files is None and (task.each_file or task.split):
        flag = "each_file" if task.each_file else "split"
        raise InvalidRequestError(f"{flag}=true is about `files`, and there are none. Name the files, or leave it out.")
    template = None
    if task.template:
        template = await anyio.to_thread.run_sync(workplace.templates.load, task.template, abandon_on_cancel=True)
    question = question_of(task.message, task.system, task.request, template)
    reading = Reading(())
    if task.files is not None:
        reading = await anyio.to_thread.run_sync(partial(workplace.reader.read, task.files, each_file=task.each_file))
    if task.ignored:
        reading = replace(reading, notes=(*reading.notes, task.ignored))
    asker = Asker(llm, report, task.model, workplace.totals, on_text)
    return Call(task, question, reading, workplace, asker)
