"""Work on files: one question to each of 40 files, against `BatchGenerator` on the same prompts; two on one file."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.bare import Bare
from benchmarks.figures import Row, Series, compare
from benchmarks.subjects import Subject, words
from mcp_local_llm.app import App, compose
from mcp_local_llm.delegation.answer import answer
from mcp_local_llm.delegation.call import Call, begin
from mcp_local_llm.delegation.each_file import AnswerBatch, ask_each, told
from mcp_local_llm.delegation.requests import row_request
from mcp_local_llm.delegation.task import FileTask
from mcp_local_llm.files.reading.file_text import FileText
from mcp_local_llm.files.writing.journal import Journal
from mcp_local_llm.files.writing.rows import Row as FileRow
from mcp_local_llm.values.chat import ChatRequest, ChatResult, Message, SamplingParams
from mcp_local_llm.values.progress import Progress

FILES = 40
FILE_TOKENS = 120
ROW_TOKENS = 32
BATCH = 4
"""Answers that both sides compute together; our default."""
PROMISED = {"tiny": 0.85}
PROMISED_ELSE = 0.95
LEAST_SOONER = 5.0


@dataclass(frozen=True)
class Side:
    """A project folder, our application in this process, and bare mlx-lm on this thread."""

    project: Path
    app: App
    bare: Bare

    def write(self, name: str, tokens: int) -> str:
        """Write a file of about so many tokens that no other begins like; return its name."""
        (self.project / name).write_text(words(tokens, self.bare, name))
        return name

    async def begin(self, files: list[str], message: str, tokens: int, *, each_file: bool = False) -> Call:
        """Begin a call whose answers have just so many tokens."""
        sampling = SamplingParams(max_tokens=tokens, temperature=0.0, repetition_limit=0)
        task = FileTask(files, message, request=ChatRequest((), sampling=sampling), each_file=each_file)
        return await begin(task, self.app.delegation.workplace, self.app.llm, _ignore)


class WholeAnswers(AnswerBatch):
    """Takes answers that their limit ended, as whole ones: most of these never end by themselves.

    Attributes:
        tokens: of each answer, by file.
    """

    def __init__(self, journal: Journal, texts: Mapping[str, FileText]) -> None:
        super().__init__(journal, texts)
        self.tokens: dict[str, int] = {}

    def write(self, source: str, result: ChatResult) -> FileRow:
        """Take an answer, and write it into the journal."""
        self.tokens[source] = result.usage.completion_tokens
        return super().write(source, replace(result, finish_reason="stop", thinking_closed=True))


async def each_file(subject: Subject, scratch: Path) -> list[Row]:
    """Tokens per second of all rows, from the call to the text that goes back.

    Bare mlx-lm computes as many tokens of each row. What it does not do: read files, count, write text and keep rows.
    """
    rate, name = Series(), subject.name
    async with _side(subject, scratch / f"each-file-{name}") as side:
        for number in range(-1, subject.sizes.rounds):
            files = [side.write(f"{number}-{at}.txt", FILE_TOKENS) for at in range(FILES)]
            message = f"{number}: say in one line what the file is about, and quote the line that shows it."
            call = await side.begin(files, message, ROW_TOKENS, each_file=True)
            ours, lengths = await _ours(call)
            bare = side.bare.together_from_shared(_conversations(call), lengths, BATCH)
            rate.add(number, ours=sum(lengths) / ours, bare=sum(lengths) / bare)
    what = f"`each_file` over {FILES} files, batch_size {BATCH} / bare `BatchGenerator`, shared beginning kept by hand"
    least = PROMISED.get(name, PROMISED_ELSE)
    return [compare(what, name, rate["ours"], rate["bare"], "tok/s", least=least)]


async def file_again(subject: Subject, scratch: Path) -> list[Row]:
    """Seconds of the first call about a long file, and of the second one; each round has a file of its own."""
    took, size = Series(), subject.sizes.long_prompt
    async with _side(subject, scratch / f"file-again-{subject.name}") as side:
        await _seconds(side, side.write("warm.txt", 64), "What is it?")
        for number in range(subject.sizes.rounds):
            name = side.write(f"{number}.txt", size)
            first = 1000 * await _seconds(side, name, "What is it?")
            took.add(number, first=first, second=1000 * await _seconds(side, name, "Which number comes last?"))
    what = f"`chat` with a file of {size} tokens, first question, without reuse / second question"
    return [compare(what, subject.name, took["first"], took["second"], "ms", least=LEAST_SOONER)]


async def _ours(begun: Call) -> tuple[float, list[int]]:
    """Ask about every file, reading them once more; return the seconds, and the tokens of each row."""
    started = time.perf_counter()
    call = await begin(begun.task, begun.workplace, begun.asker.llm, begun.asker.report)
    outcome = await ask_each(call, WholeAnswers)
    answer = await told(call, outcome)
    seconds = time.perf_counter() - started
    if not isinstance(outcome.batch, WholeAnswers) or len(outcome.batch.tokens) != FILES:
        raise RuntimeError(f"rows are missing: {answer.head}")
    return seconds, [outcome.batch.tokens[text.name] for text in call.reading.texts]


def _conversations(call: Call) -> list[list[Message]]:
    """Return what we send for each file."""
    requests = (row_request(call.question, text, call.workplace.key) for text in call.reading.texts)
    return [list(request.messages) for request in requests]


async def _seconds(side: Side, file: str, question: str) -> float:
    """Return the seconds of one call about a file, to its answer of one token."""
    started = time.perf_counter()
    await answer(await side.begin([file], question, 1))
    return time.perf_counter() - started


@asynccontextmanager
async def _side(subject: Subject, home: Path) -> AsyncGenerator[Side]:
    """Make a project in a home folder of its own, where a session of ours holds the model."""
    project = home / "project"
    project.mkdir(parents=True)
    environ = {
        "XDG_RUNTIME_DIR": str(home),
        "CLAUDE_PROJECT_DIR": str(project),
        "MCP_LOCAL_LLM_FOLDERS": str(subject.info.path.parent),
        "MCP_LOCAL_LLM_MODEL": subject.info.id,
        "MCP_LOCAL_LLM_BATCH_SIZE": str(BATCH),
    }
    app = compose(environ, home, folder=project)
    try:
        async with app.llm:
            yield Side(project, app, Bare(subject.info.path))
    finally:
        app.engines.close(60)


def _ignore(progress: Progress) -> None:
    """Take progress that nobody watches."""
