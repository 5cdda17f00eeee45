"""Answers one question about all files together."""

from collections.abc import Sequence
from dataclasses import replace

import anyio.to_thread

from mcp_local_llm.delegation.asking import Checks, Faults
from mcp_local_llm.delegation.call import Call
from mcp_local_llm.delegation.counting import EDIT_HELP, answer_room, split_help, too_long
from mcp_local_llm.delegation.parts import ASSUMED_WINDOW, LongReader
from mcp_local_llm.delegation.requests import whole_request
from mcp_local_llm.delegation.task import FileAnswer, TokensSaved
from mcp_local_llm.delegation.workplace import saved_words
from mcp_local_llm.files.reading.file_text import FileText
from mcp_local_llm.files.tasks.checks import outcome, without_unquoted
from mcp_local_llm.files.writing.rows import Bounded, bounded_answer, repeated_lines
from mcp_local_llm.values.chat import ChatResult, TokenCounts
from mcp_local_llm.values.errors import ContextLengthError

REPEATED = 20
"""Lines of a file in an answer from which on reading the file would have been the better way."""

MANY_FILES = 25
"""Files of one question from which on a question to each of them is suggested."""


async def answer_whole(call: Call) -> tuple[ChatResult, Faults, TokensSaved]:
    """Return the answer about all files together, what its checks found, and the tokens so far.

    Raises:
        ContextLengthError: the files do not fit, and `split` is not set.
        LocalLLMError: as `LLM.chat`.
    """
    texts = call.reading.texts
    request = whole_request(call.question, texts, call.workplace.key)
    counts, saved = await call.counted((request,))
    window = window_of(call, counts)
    if window is not None and (needed := counts.tokens[0] + answer_room(request, window)) > window and texts:
        if not call.splits:
            of_texts = counts.tokens[1 : 1 + len(texts)]
            help_ = EDIT_HELP if call.edits else split_help(counts, of_texts, call.workplace.totals.prefill_rate)
            raise too_long(counts, texts, of_texts, needed, help_)
        return *await in_parts(call, texts, counts), saved
    try:
        return *await call.asker.ask_checked(request, checks_of(call, texts)), saved
    except ContextLengthError as error:
        if call.edits:
            raise ContextLengthError(f"{error} What helps: {EDIT_HELP}.") from error
        if counts.window is not None or not (call.splits and texts):
            raise
    return *await in_parts(call, texts, counts), saved


def window_of(call: Call, counts: TokenCounts) -> int | None:
    """Return the window that a request is held against; one that nobody tells is assumed where parts are allowed.

    Some servers cut a longer prompt without a word.
    """
    return counts.window or (ASSUMED_WINDOW if call.splits else None)


async def in_parts(call: Call, texts: Sequence[FileText], counts: TokenCounts) -> tuple[ChatResult, Faults]:
    """Answer from the parts of texts; return what the checks found as well."""
    reader = LongReader(call.asker, call.workplace.key)
    result = await reader.answer(call.question, texts, counts)
    return result, checks_of(call, texts).faults(result)


def checks_of(call: Call, texts: Sequence[FileText]) -> Checks:
    """Return the checks of the call's template."""
    names = call.question.template.check if call.question.template else ()
    return Checks(names, tuple(text.text for text in texts), call.path)


async def answer(call: Call) -> FileAnswer:
    """Answer for a caller: within the bounds of what may go back, the rest in a file; whole where `on_text` is.

    Raises as `answer_whole`.
    """
    result, faults, saved = await answer_whole(call)
    texts = call.reading.texts
    text, names = result.text, checks_of(call, texts).names
    notes = [*call.reading.notes, *([told] if (told := outcome(names, faults)) else [])]
    if "quote" in names:
        text, dropped = without_unquoted(text, [one.text for one in texts])
        notes += [f"{dropped} findings were left out: their quotes stand in no file."] if dropped else []
    if call.asker.on_text is None:
        bounded = await anyio.to_thread.run_sync(bounded_answer, text, call.keep)
    else:
        bounded = Bounded("", text)  # The caller has the text already.
    if sum(repeated_lines(bounded.body, one.text) for one in texts) >= REPEATED:
        notes.append("The answer repeats many lines of the files: Read them instead.")
    if len(texts) > MANY_FILES:
        notes.append(f"{len(texts)} files in one question: each_file=true asks about each by itself.")
    saved = replace(saved, returned=await call.tokens(bounded.body))
    about = "about " if saved.estimated else ""
    read = f"{len(texts)} {'file' if len(texts) == 1 else 'files'}, {about}{saved.read:,} tokens read here;"
    head = " ".join(
        [
            *([read, saved_words(saved, texts)] if texts else []),
            *([bounded.head] if bounded.head else []),
            *notes,
        ]
    )
    files = (bounded.rest,) if bounded.rest is not None else ()
    return FileAnswer(head, bounded.body, replace(result, text=bounded.body), saved, files, single=True)
