"""The two kinds of delegated work that doors offer: answers about files, and drafts."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import anyio.to_thread

from mcp_local_llm.delegation.task import DraftOrder, FileAnswer, FileTask
from mcp_local_llm.llm.llm import LLM, OnText
from mcp_local_llm.values.chat import ChatResult, Timings, Usage
from mcp_local_llm.values.model import human_bytes
from mcp_local_llm.values.progress import ReportProgress

if TYPE_CHECKING:
    from mcp_local_llm.delegation.workplace import Workplace


class Delegation:
    """Works on files of this session with the model behind `llm`.

    What it needs is imported and made with the first call, which a handshake need not wait for.

    Args:
        llm: executes the verbs.
        make_workplace: makes the session's means; called once.
    """

    def __init__(self, llm: LLM, make_workplace: "Callable[[], Workplace]") -> None:
        self._llm = llm
        self._make_workplace = make_workplace

    @cached_property
    def workplace(self) -> "Workplace":
        """The session's means."""
        return self._make_workplace()

    def notes(self) -> tuple[str, ...]:
        """Return sentences for the status; reads the state folder."""
        return self.workplace.notes()

    def clean(self) -> str:
        """Delete everything that the state folder keeps, and say how much that was."""
        state = self.workplace.state
        gone = state.clean()
        what = "1 file" if gone.files == 1 else f"{gone.files} files"
        return f"{what}, {human_bytes(gone.size_bytes)}, deleted from {state.path}."

    async def named_in(self, message: str) -> tuple[str, ...]:
        """Return the words of a message that are paths of files in the project; the disk is asked for few messages."""
        words = dict.fromkeys(word.strip("`'\"()[]{}<>,;:!?").removesuffix(".") for word in message[:4000].split())
        paths = [word for word in words if "." in word or "/" in word]
        return await anyio.to_thread.run_sync(lambda: self.workplace.files_among(paths)) if paths else ()

    async def chat(self, task: FileTask, report: ReportProgress, on_text: OnText | None = None) -> FileAnswer:
        """Answer a question about files.

        Args:
            task: the question.
            report: receives progress.
            on_text: receives the answer's text as it comes, where it is one answer that no check can replace; the
                answer then comes back whole, however long it is.

        Raises:
            InvalidRequestError: the task is not whole.
            FileAccessError: a file cannot be read; with `each_file` that is a row.
            ContextLengthError: the files do not fit; the message says what helps.
            LocalLLMError: as `LLM.chat`.
        """
        from mcp_local_llm.delegation.answer import answer
        from mcp_local_llm.delegation.call import begin
        from mcp_local_llm.delegation.each_file import answer_each

        call = await begin(task, await self._means(), self._llm, report, None if task.each_file else on_text)
        return self._counted(await (answer_each(call) if task.each_file else answer(call)))

    async def draft(self, order: DraftOrder, report: ReportProgress) -> FileAnswer:
        """Write an answer into a file.

        Raises:
            InvalidRequestError: the order is not whole.
            FileAccessError: a file cannot be read or written; what was there is as it was.
            LocalLLMError: as `LLM.chat`.
        """
        from mcp_local_llm.delegation.call import begin
        from mcp_local_llm.delegation.draft import require_whole, write_draft

        require_whole(order)
        await self._means()
        if order.restore or order.task is None:
            drafts = await anyio.to_thread.run_sync(self.workplace.drafts)
            told = await anyio.to_thread.run_sync(drafts.restore, self.workplace.absolute(order.path))
            nothing = ChatResult("", "", (), "stop", "", Usage(), Timings())
            task = order.task
            ignored = task is not None and bool(task.message.strip() or task.files or task.template)
            note = " Nothing new was written: restore=true has no use for message, files and template."
            return FileAnswer(f"{told.head}{note if ignored else ''}", told.excerpt, nothing, files=(told.path,))
        call = await begin(order.task, self.workplace, self._llm, report)
        return self._counted(await write_draft(call, order))

    async def _means(self) -> "Workplace":
        """Make the session's means on a thread: a root may lie on a disk that does not answer."""
        return await anyio.to_thread.run_sync(lambda: self.workplace, abandon_on_cancel=True)

    def _counted(self, done: FileAnswer) -> FileAnswer:
        totals = self.workplace.totals
        totals.calls += 1
        totals.saved += done.saved
        return done
