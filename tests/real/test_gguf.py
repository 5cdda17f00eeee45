"""The file that the folder was made of, as a user runs it: behind a real llama-server, over stdio."""

import anyio
import anyio.to_thread
import pytest

from tests.clients import WAIT_S
from tests.engines.servers.conftest import BUILT
from tests.real.conftest import QUESTIONS, TOKENS, Reference
from tests.real.test_sessions import chat, expected
from tests.sharing.sessions import remove_runtime, report, sessions
from training.real_model import RealModel

pytestmark = pytest.mark.real

ALIKE = QUESTIONS[:4]
"""Their next tokens are far ahead of the others; llama.cpp rounds activations to 8 bits, and may answer the rest
otherwise."""


async def test_llama_server_reads_the_quantized_file_as_mlx_reads_the_folder(
    environ: dict[str, str], model: RealModel, references: dict[str, Reference]
) -> None:
    assert BUILT.is_file(), "there is no llama-server; `make test-real` builds one"
    settings = {
        "MCP_LOCAL_LLM_FOLDERS": str(model.gguf.parent),
        "MCP_LOCAL_LLM_MODEL": model.gguf.stem,
        "MCP_LOCAL_LLM_LLAMA_SERVER": str(BUILT),
        # llama.cpp's threads wait for each other by spinning, which costs a busy machine more than they save.
        "LLAMA_ARG_THREADS": "1",
    }
    with anyio.fail_after(2 * WAIT_S):
        async with sessions({**environ, **settings}, 1) as (session,):
            answers = {question: await chat(session, question) for question in QUESTIONS}
            assert (await report(session, "status"))["model"] == model.gguf.stem
    await anyio.to_thread.run_sync(remove_runtime, environ)
    for question in QUESTIONS:
        reference = references[question]
        *_, prompt_tokens, tokens = answers[question]
        assert prompt_tokens == reference.prompt_tokens
        assert 0 < tokens <= TOKENS
    assert [answers[question] for question in ALIKE] == [expected(references[question]) for question in ALIKE]
