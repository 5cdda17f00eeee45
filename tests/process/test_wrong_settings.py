"""A wrong setting: the server serves, and every tool says what to mend."""

from pathlib import Path

import pytest

from tests.wire import open_wire

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
    ],
)
async def test_every_tool_answers_with_the_sentence(
    environ: dict[str, str], home: Path, text: str, variables: dict[str, str], words: str
) -> None:
    file = home / ".config" / "mcp-local-llm" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    async with open_wire(environ | variables) as wire:
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
