"""`/switch-model` as an MCP prompt."""

import pytest
from mcp import Client, MCPError
from mcp_types import TextContent

from mcp_local_llm.doors.mcp.prompts import without_front_matter
from mcp_local_llm.setup.places import read_prompt


async def text_of(client: Client, arguments: dict[str, str] | None = None) -> str:
    (message,) = (await client.get_prompt("switch-model", arguments)).messages
    assert message.role == "user"
    assert isinstance(message.content, TextContent)
    return message.content.text


async def test_switch_model_is_the_one_prompt_and_takes_optional_words(client: Client) -> None:
    (prompt,) = (await client.list_prompts()).prompts
    assert prompt.name == "switch-model"
    assert prompt.description
    arguments = prompt.arguments or []
    assert [argument.name for argument in arguments] == ["name", *(f"word{number}" for number in range(2, 9))]
    assert not any(argument.required for argument in arguments)


@pytest.mark.parametrize(
    "typed", ["32b", "qwen coder 7b", "qwen 2.5 coder 7b instruct 4bit mlx community", "smollm2 gguf"]
)
async def test_each_word_that_a_client_splits_off_arrives(typed: str, client: Client) -> None:
    (prompt,) = (await client.list_prompts()).prompts
    names = [argument.name for argument in prompt.arguments or []]
    text = await text_of(client, dict(zip(names, typed.split(), strict=False)))
    assert f'The user asked for: "{typed}"' in text


async def test_words_that_come_whole_or_empty_are_one_name(client: Client) -> None:
    text = await text_of(client, {"word3": "7b", "name": " qwen coder ", "word2": "", "word4": " "})
    assert 'The user asked for: "qwen coder 7b"' in text


async def test_an_unknown_argument_of_the_prompt_is_refused_with_the_known_ones(client: Client) -> None:
    with pytest.raises(MCPError, match=r"There is no argument model\. The prompt has: name, word2"):
        await text_of(client, {"model": "32b"})


async def test_the_prompt_carries_the_text_of_the_slash_command_without_its_front_matter(client: Client) -> None:
    text = await text_of(client)
    assert text == without_front_matter(read_prompt("switch-model")).replace("$ARGUMENTS", "")
    assert text.startswith("Switch the local model")
    assert "allowed-tools" not in text


async def test_the_argument_stands_where_the_command_wants_what_the_user_typed(client: Client) -> None:
    text = await text_of(client, {"name": "32b"})
    assert 'The user asked for: "32b"' in text
    assert "$ARGUMENTS" not in text


async def test_without_an_argument_the_menu_is_asked_for(client: Client) -> None:
    assert 'The user asked for: ""' in await text_of(client)


def test_a_text_without_front_matter_stays_as_it_is() -> None:
    assert without_front_matter("Hello\n---\nworld\n") == "Hello\n---\nworld\n"
