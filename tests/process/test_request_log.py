"""The log on stderr: a line for each request where it is asked for, and never what was said."""

import re
import sys
from collections.abc import Sequence

import pytest

from tests.wire import open_wire

SECRET = "xylophone-4711"
LINE = re.compile(
    r"^mcp-local-llm: INFO: request [0-9a-f]{8}: tiny, \d+ \+ \d+ tokens, \d+\.\d\d s, (stop|length)$", re.MULTILINE
)
SERVER = (sys.executable, "-m", "mcp_local_llm")


@pytest.mark.parametrize(
    ("variables", "command", "lines"),
    [
        ({}, SERVER, 0),
        ({"MCP_LOCAL_LLM_LOG_LEVEL": "info"}, SERVER, 2),
        ({}, (*SERVER, "--verbose"), 2),
    ],
)
async def test_each_request_is_one_line_without_its_text(
    environ: dict[str, str], variables: dict[str, str], command: Sequence[str], lines: int
) -> None:
    async with open_wire(environ | variables, command=command) as wire:
        for _ in range(2):
            await wire.answer(await wire.call("chat", message=f"Hello {SECRET}", max_tokens=8, thinking=False))
        refused = (await wire.answer(await wire.call("chat", message=SECRET, model=f"no-{SECRET}")))["result"]
        assert refused["isError"]
        await wire.close_stdin()
        await wire.ended()
        told = wire.errors()
    assert len(LINE.findall(told)) == lines
    assert (": no model, " in told and "failed: UnknownModelError" in told) == bool(lines)
    assert SECRET not in told
