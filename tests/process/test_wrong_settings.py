"""A wrong setting: the server serves, and every tool says what to mend."""

import os
import sys
from pathlib import Path

import pytest

from tests.wire import open_wire

SERVER = (sys.executable, "-m", "mcp_local_llm")

CALLS: list[tuple[str, dict[str, str]]] = [
    ("status", {}),
    ("list_models", {}),
    ("chat", {"message": "Hello"}),
    ("quick_test", {}),
    ("set_model", {"name": "tiny"}),
    ("draft", {"path": "x.md", "message": "Hello"}),
]


@pytest.mark.parametrize(
    ("text", "variables", "words"),
    [
        ("", {"MCP_LOCAL_LLM_RESERVE_CONTEXT": "1"}, "MCP_LOCAL_LLM_RESERVE_CONTEXT: 'reserve_context' is '1'"),
        ('modell = "32b"', {}, "there is no setting 'modell'. Did you mean 'model'?"),
        ("model = ", {}, "config.toml cannot be read"),
        ('roots = ["~nobody-here/x"]', {}, "'roots[1]' is '~nobody-here/x'"),
        ("", {"HOME": "~"}, "Set HOME to the whole path"),
        ("", {"HOME": "work"}, "Set HOME to the whole path"),
    ],
)
async def test_every_tool_answers_with_the_sentence(
    environ: dict[str, str], home: Path, text: str, variables: dict[str, str], words: str
) -> None:
    file = home / ".config" / "mcp-local-llm" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    async with open_wire(environ, command=("/usr/bin/env", *assigned(variables), *SERVER)) as wire:
        listed = await wire.answer(await wire.request("tools/list", {}))
        assert [tool["name"] for tool in listed["result"]["tools"]] == [
            "chat", "set_model", "quick_test", "list_models", "status", "draft"
        ]  # fmt: skip
        for tool, arguments in CALLS:
            result = (await wire.answer(await wire.call(tool, **arguments)))["result"]
            assert result["isError"], tool
            assert words in result["content"][0]["text"], tool
            assert "start this server anew" in result["content"][0]["text"], tool
        await wire.close_stdin()
        assert await wire.ended() == 0
        assert words in wire.errors()


def assigned(variables: dict[str, str]) -> list[str]:
    """The variables as `env` takes them."""
    return [f"{name}={value}" for name, value in variables.items()]


@pytest.mark.parametrize(
    "variable", ["XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "MCP_LOCAL_LLM_\udcff", "MCP_LOCAL_LLM_MODEL"]
)
async def test_bytes_that_are_no_text_are_answered_too(environ: dict[str, str], variable: str) -> None:
    # Its path is short: one that is too long for a socket is not used.
    odd = os.fsdecode(os.fsencode(environ["XDG_RUNTIME_DIR"]) + b"/\xff")
    Path(odd).mkdir(parents=True)
    # A file in the place of a folder: what is said of it names the path.
    Path(odd, "mcp-local-llm").write_text("")
    async with open_wire(environ | {variable: odd}) as wire:
        for tool, arguments in CALLS[:3]:
            await wire.answer(await wire.call(tool, **arguments))
        assert "\ufffd" in await wire.text(await wire.call("chat", message="Hello")) or variable.endswith("MODEL")


async def test_a_variable_that_is_misspelt_is_told_with_the_right_one(environ: dict[str, str], era: str) -> None:
    async with open_wire(environ | {"MCP_LOCAL_LLM_MODLE": "32b"}, era) as wire:
        assert "Did you mean MCP_LOCAL_LLM_MODEL?" in await wire.text(await wire.call("status"))


async def test_an_old_name_is_accepted_and_told(environ: dict[str, str], home: Path) -> None:
    file = home / ".config" / "mcp-local-llm" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[[launch]]\nname = "two"\nmodel = "org/big"\nhosts = ["10.0.0.1", "10.0.0.2"]\n')
    async with open_wire(environ) as wire:
        assert "[[launch]] is called [[cluster]] now" in await wire.text(await wire.call("status"))
        assert "two/big" in await wire.text(await wire.call("list_models"))
        assert "[[launch]] is called [[cluster]] now" in wire.errors()
