"""Composes requests from texts and tasks. Pure.

Files stand before the question, so that the next question about them finds their KV cache; where each file gets the
same question, the question stands before them, in the system turn, so that all of them share it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mcp_local_llm.files.reading.fences import DATA_SENTENCE, fenced, fenced_files
from mcp_local_llm.files.reading.file_text import FileText
from mcp_local_llm.files.tasks.template import TaskTemplate
from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams
from mcp_local_llm.values.errors import InvalidRequestError

FOR_THIS_FILE = "Do the task for this file."
"""Ends the turn of one file of many."""


@dataclass(frozen=True)
class Question:
    """A task, completed by its template.

    Attributes:
        text: task and form of the answer.
        system: the caller's system prompt.
        base: sampling, schema and so on; its messages are the history.
        template: the template that completed it, None for none.
    """

    text: str
    system: str
    base: ChatRequest
    template: TaskTemplate | None = None


def question_of(message: str, system: str, base: ChatRequest, template: TaskTemplate | None) -> Question:
    """Complete a message by its template; values of the call win over those of the template.

    Raises:
        InvalidRequestError: there is no message, and none or no whole template.
    """
    if template is None:
        answers_tool = bool(base.messages) and base.messages[-1].role == "tool"
        if not message.strip() and not answers_tool:
            raise InvalidRequestError("message is empty. Say what to do with the files, or name a template.")
        return Question(message, system, base)
    base = replace(
        base,
        sampling=base.sampling.over(template.sampling),
        thinking=template.thinking if base.thinking is None else base.thinking,
        response_schema=base.response_schema or template.answer_schema,
    )
    return Question(template.task(message), system, base, template)


def whole_request(question: Question, texts: Sequence[FileText], key: bytes) -> ChatRequest:
    """Return the request about all files together: files, history, question.

    Args:
        question: the task.
        texts: the files, in their order.
        key: makes the tags of the fences, see `fenced`.
    """
    asked = (_user(question.text),) if question.text.strip() else ()
    if not texts:
        turns = (*question.base.messages, *asked)
        return replace(_request(question, question.system, turns), holds_files=False)
    files = fenced_files(texts, key)
    system = _joined(question.system, DATA_SENTENCE)
    history = question.base.messages
    if not history:
        return _request(question, system, (_user(_joined(files, question.text)),))
    first, later = history[0], history[1:]
    opening = (_user(_joined(files, first.content)),) if first.role == "user" else (_user(files), first)
    return _request(question, system, (*opening, *later, *asked))


def row_request(question: Question, text: FileText, key: bytes) -> ChatRequest:
    """Return the request about one file of many; all of them begin alike."""
    system = _joined(question.system, DATA_SENTENCE, f"Your task for each file:\n{question.text}")
    turn = _user(_joined(fenced(text, key), FOR_THIS_FILE))
    return _request(question, system, (*question.base.messages, turn))


def retry_request(request: ChatRequest, answer: str, fault: str) -> ChatRequest:
    """Return the request again, with the answer and what is wrong with it."""
    turns = (Message(role="assistant", content=answer), _user(fault))
    return replace(request, messages=(*request.messages, *turns))


def text_request(
    question: Question, system: str, user: str, *, schema: bool = False, max_tokens: int = 0
) -> ChatRequest:
    """Return a request as the steps of a long reading need them: history, then one turn.

    Args:
        question: gives sampling and so on.
        system: the first turn.
        user: the second one.
        schema: whether the answer must validate against the question's schema.
        max_tokens: the longest answer; 0 is the question's.
    """
    base = question.base
    if not schema:
        base = replace(base, response_schema=None, tools=(), must_call=())
    if max_tokens:
        # Reasoning would use up the few tokens of a note.
        base = replace(base, sampling=SamplingParams(max_tokens=max_tokens).over(base.sampling), thinking=False)
    return _request(replace(question, base=base), system, (*base.messages, _user(user)))


def _request(question: Question, system: str, turns: Sequence[Message]) -> ChatRequest:
    opening = (Message(role="system", content=system),) if system else ()
    return replace(question.base, messages=(*opening, *turns), holds_files=True)


def _user(text: str) -> Message:
    return Message(role="user", content=text)


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
