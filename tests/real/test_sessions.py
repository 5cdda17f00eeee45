"""What a user's programs get of a real model: two sessions over stdio, and OpenAI's API, each a process of its own."""

from typing import Any

import anyio
import anyio.to_thread
import pytest
from openai import OpenAI, Stream
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.clients import WAIT_S
from tests.doors.http.test_serve import serve
from tests.real.conftest import DOZEN_S, QUESTIONS, SYSTEM, TOKENS, Reference, model_settings
from tests.sharing.sessions import begin, holder_of, imported_mlx, remove_runtime, sessions
from tests.wire import Wire
from training.real_model import RealModel

pytestmark = pytest.mark.real

LONG = {"type": "array", "items": {"type": "integer"}, "minItems": 200}
"""Keeps an answer going; the model would end most of them after a sentence."""


async def test_a_second_session_gets_the_answers_of_bare_mlx_lm_out_of_the_first(
    environ: dict[str, str], model: RealModel, references: dict[str, Reference]
) -> None:
    with anyio.fail_after(DOZEN_S):
        async with sessions({**environ, **model_settings(model)}, 2) as (first, second):
            assert await chat(first, QUESTIONS[0]) == expected(references[QUESTIONS[0]])
            assert holder_of(environ) == first.process.pid
            for question in QUESTIONS:
                assert await chat(second, question) == expected(references[question]), question
            assert not imported_mlx(second.process.pid)
    await anyio.to_thread.run_sync(remove_runtime, environ)


async def test_a_cancelled_call_of_one_session_changes_no_answer_of_another(
    environ: dict[str, str], model: RealModel, references: dict[str, Reference]
) -> None:
    first_question, second_question = QUESTIONS[:2]
    with anyio.fail_after(2 * WAIT_S):
        async with sessions({**environ, **model_settings(model)}, 2) as (first, second):
            assert await chat(first, first_question) == expected(references[first_question])
            running = await begin(second, message="Count.", **arguments() | {"max_tokens": 400}, response_schema=LONG)
            assert await chat(first, first_question) == expected(references[first_question])
            await second.cancel(running)
            assert await chat(second, second_question) == expected(references[second_question])
            assert second.answers(running) == []
    await anyio.to_thread.run_sync(remove_runtime, environ)


def test_a_stream_over_http_is_the_whole_answer_and_counts_what_the_tokenizer_counts(
    environ: dict[str, str], model: RealModel, references: dict[str, Reference]
) -> None:
    question = QUESTIONS[1]
    asked: dict[str, Any] = {
        "model": model.mlx.name,
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}],
        "max_tokens": TOKENS,
        "temperature": 0,
    }
    with (
        serve({**environ, **model_settings(model)}) as served,
        OpenAI(base_url=served.url, api_key="none", max_retries=0, timeout=WAIT_S) as client,
    ):
        whole: ChatCompletion = client.chat.completions.create(stream=False, **asked)
        stream: Stream[ChatCompletionChunk]
        stream = client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **asked)
        with stream:
            steps = list(stream)
    streamed = "".join(choice.delta.content or "" for step in steps for choice in step.choices)
    reason = [choice.finish_reason for step in steps for choice in step.choices if choice.finish_reason]
    reference = references[question]
    assert streamed == whole.choices[0].message.content == reference.text
    assert reason == [whole.choices[0].finish_reason] == [reference.finish_reason]
    for usage in (whole.usage, steps[-1].usage):
        assert usage is not None
        assert (usage.prompt_tokens, usage.completion_tokens) == (reference.prompt_tokens, reference.tokens)


def arguments() -> dict[str, Any]:
    """How every question is asked."""
    return {"system": SYSTEM, "max_tokens": TOKENS, "temperature": 0}


async def chat(session: Wire, question: str) -> tuple[str, str, int, int]:
    """What an answer says, why it ended, and what it counted."""
    result = (await session.answer(await session.call("chat", message=question, **arguments())))["result"]
    assert not result.get("isError"), result
    numbers = result["_meta"]["local-llm/result"]
    usage = numbers["usage"]
    text = "\n\n".join(block["text"] for block in result["content"])
    return (text, numbers["finish_reason"], usage["prompt_tokens"], usage["completion_tokens"])


def expected(reference: Reference) -> tuple[str, str, int, int]:
    """The same of what mlx-lm made, with the server's note, a block of its own, where it was cut off."""
    note = f"\n\n[Cut off: max_tokens was reached after {TOKENS} tokens. Call again with a larger max_tokens.]"
    text = reference.text + (note if reference.finish_reason == "length" else "")
    return (text, reference.finish_reason, reference.prompt_tokens, reference.tokens)
