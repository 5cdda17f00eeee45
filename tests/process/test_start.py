"""How a server is started: cheaply, and by the configuration that people copy."""

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from tests.clients import WAIT_S
from tests.doors.mcp.answers import ask, texts
from tests.process.conftest import LARGE
from tests.wire import open_wire

EXAMPLE = Path(__file__).parents[2] / "examples" / "claude_config.json"
DUMP_MODULES = """
import atexit, os, sys
leave = os._exit
def tell(code):
    sys.stderr.write("imported: " + " ".join(sorted(sys.modules)) + chr(10))
    sys.stderr.flush()
    leave(code)
os._exit = tell
"""
HEAVY = ("mlx", "mlx_lm", "transformers", "torch", "numpy", "huggingface_hub", "httpx", "typer", "jsonschema")


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> str:
    """Both protocol eras in every run: the handshake is what differs most between them."""
    return str(request.param)


async def test_the_handshake_and_the_cheap_tools_import_no_mlx(
    environ: dict[str, str], era: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(DUMP_MODULES)
    async with open_wire(environ | {"PYTHONPATH": str(tmp_path)}, era) as wire:
        await wire.answer(await wire.request("tools/list", {}))
        await wire.answer(await wire.request("prompts/list", {}))
        await wire.answer(await wire.call("status"))
        await wire.close_stdin()
        assert await wire.ended() == 0
        (told,) = [line for line in wire.errors().splitlines() if line.startswith("imported: ")]
    modules = told.split()
    assert "mcp_local_llm.doors.mcp.server" in modules
    assert [name for name in HEAVY if name in modules] == []


async def test_listing_models_imports_no_mlx_either(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(DUMP_MODULES)
    async with open_wire(environ | {"PYTHONPATH": str(tmp_path)}) as wire:
        await wire.answer(await wire.call("list_models"))
        await wire.close_stdin()
        await wire.ended()
        assert " mlx.core " not in wire.errors()


async def test_a_locale_without_utf8_keeps_no_tool_from_answering(environ: dict[str, str]) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    async with open_wire(environ | plain) as wire:
        assert "tiny" in await wire.text(await wire.call("list_models"))
        assert "tiny" in await wire.text(await wire.call("chat", message="Grüße", thinking=False))
        assert "ready tiny" in await wire.text(await wire.call("status"))


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(("model", "answers"), [(None, "tiny"), ("", "tiny"), ("32b", LARGE)])
async def test_the_example_configuration_starts_a_server_that_answers(
    environ: dict[str, str], model: str | None, answers: str, choice: Path
) -> None:
    session = environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"}
    if model is not None:
        session["MCP_LOCAL_LLM_MODEL"] = model
    if answers == "tiny":
        choice.parent.mkdir(parents=True)
        choice.write_text("tiny\n")
    configuration = json.loads(EXAMPLE.read_text())
    ((name, server),) = configuration["mcpServers"].items()
    assert name == "local-llm"
    parameters = StdioServerParameters(
        command=server["command"], args=server["args"], env=session | expanded(server["env"], session)
    )
    async with Client(parameters, read_timeout_seconds=WAIT_S) as client:
        result = await ask(client, "Hello")
        assert texts(result) == ["Hello! How can I help you today?"]
        assert result.meta is not None
        assert result.meta["local-llm/result"]["model"] == answers


def expanded(values: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Expand `${NAME}` and `${NAME:-default}` as Claude Code does: a default stands in for an unset variable."""

    def value(found: re.Match[str]) -> str:
        name, has_default, default = found[1], found[2], found[3]
        if name in environ:
            return environ[name]
        assert has_default, f"{name} is not set, and has no default"
        return default or ""

    return {key: re.sub(r"\$\{(\w+)(?:(:-)([^}]*))?\}", value, str(text)) for key, text in values.items()}
