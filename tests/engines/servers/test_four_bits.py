"""A real llama-server with a 4-bit model as a Q4_1 file: it reads the text as MLX does, and draws what MLX draws."""

from pathlib import Path

import pytest

from benchmarks.random_model import Shape, make_model
from mcp_local_llm.llm.llm import collect_result
from tests.engines.servers.asking import question
from tests.engines.servers.conftest import Compose
from training.to_gguf import write_gguf

pytestmark = pytest.mark.engines
SHAPE = Shape("mini", 512, 64, 2, 2, 1, 128)


async def test_a_file_of_four_bits_draws_the_same_tokens_as_its_folder(
    composed: Compose, models: Path, llama_server: str
) -> None:
    make_model(models / "mini", SHAPE)
    assert write_gguf(models / "mini", models / "mini-Q4_1.gguf") == "Q4_1"
    app = await composed("reserve_context = 1024\n", llama_server=llama_server)
    # Questions whose next tokens are far ahead of the others: the two engines do not round alike.
    for text in ("Who are you?", "A cat and a dog"):
        asked = question(text, max_tokens=4)
        there = await collect_result(app.llm.chat(asked, lambda _: None, model="mini-Q4_1"))
        here = await collect_result(app.llm.chat(asked, lambda _: None, model="mini"))
        assert there.usage.prompt_tokens == here.usage.prompt_tokens
        assert there.text == here.text
