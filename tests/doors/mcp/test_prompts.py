"""The slash commands as MCP prompts."""

import pytest
from mcp import Client, MCPError
from mcp_types import Prompt, PromptReference, TextContent

from mcp_local_llm.files.tasks.template import Templates
from mcp_local_llm.setup.places import prompt_names, read_prompt, split_front_matter

NAMES = ["switch-model", "delegate", "review", "commit", "condense"]
MAX_BYTES = 2048


async def text_of(client: Client, arguments: dict[str, str] | None = None, name: str = "switch-model") -> str:
    (message,) = (await client.get_prompt(name, arguments)).messages
    assert message.role == "user"
    assert isinstance(message.content, TextContent)
    return message.content.text


async def prompt_of(client: Client, name: str) -> Prompt:
    (prompt,) = [prompt for prompt in (await client.list_prompts()).prompts if prompt.name == name]
    return prompt


async def completed(client: Client, prompt: str, argument: str, typed: str) -> list[str]:
    ref = PromptReference(type="ref/prompt", name=prompt)
    return (await client.complete(ref, {"name": argument, "value": typed})).completion.values


async def test_every_slash_command_is_a_prompt_with_a_title_and_a_description(client: Client) -> None:
    prompts = (await client.list_prompts()).prompts
    assert [prompt.name for prompt in prompts] == NAMES
    assert sorted(NAMES) == list(prompt_names())
    assert all(prompt.title and prompt.description for prompt in prompts)


async def test_switch_model_takes_optional_words(client: Client) -> None:
    arguments = (await prompt_of(client, "switch-model")).arguments or []
    assert [argument.name for argument in arguments] == ["name", *(f"word{number}" for number in range(2, 9))]


async def test_no_prompt_requires_an_argument(client: Client) -> None:
    for prompt in (await client.list_prompts()).prompts:
        assert not any(argument.required for argument in prompt.arguments or [])


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("switch-model", "32b"),
        ("switch-model", "qwen coder 7b"),
        ("switch-model", "qwen 2.5 coder 7b instruct 4bit mlx community"),
        ("switch-model", "smollm2 gguf"),
        ("delegate", "which of the logs in logs/ show an error? quote the line, and write NONE where there is none"),
        ("review", "git:main..HEAD"),
        ("commit", "say that it fixes the leak"),
        ("condense", "talk.txt short.md the decisions matter"),
    ],
)
async def test_each_word_that_a_client_splits_off_arrives(name: str, typed: str, client: Client) -> None:
    names = [argument.name for argument in (await prompt_of(client, name)).arguments or []]
    assert len(typed.split()) <= len(names)
    text = await text_of(client, dict(zip(names, typed.split(), strict=False)), name)
    assert f'"{typed}"' in text


async def test_words_that_come_whole_or_empty_are_one_text(client: Client) -> None:
    text = await text_of(client, {"word3": "7b", "name": " qwen coder ", "word2": "", "word4": " "})
    assert 'The user asked for: "qwen coder 7b"' in text


@pytest.mark.parametrize(("name", "argument"), [("switch-model", "name"), ("delegate", "task"), ("commit", "hint")])
async def test_a_text_that_a_client_may_have_cut_off_says_so(name: str, argument: str, client: Client) -> None:
    every = [one.name for one in (await prompt_of(client, name)).arguments or []]
    assert every[0] == argument
    whole = await text_of(client, dict.fromkeys(every[:-1], "x"), name)
    assert "breaks off" not in whole
    assert f"after word {len(every)} of" in await text_of(client, dict.fromkeys(every, "x"), name)


@pytest.mark.parametrize("name", NAMES)
async def test_an_unknown_argument_of_a_prompt_is_refused_with_the_known_ones(name: str, client: Client) -> None:
    first = ((await prompt_of(client, name)).arguments or [])[0].name
    with pytest.raises(MCPError, match=rf"There is no argument model\. The prompt has: {first}, word2"):
        await text_of(client, {"model": "32b"}, name)


@pytest.mark.parametrize("name", NAMES)
async def test_a_prompt_is_the_text_of_its_slash_command_without_its_front_matter(name: str, client: Client) -> None:
    front, body = split_front_matter(read_prompt(name))
    text = await text_of(client, name=name)
    assert text == body.replace("$ARGUMENTS", "")
    assert "allowed-tools" not in text
    assert (await prompt_of(client, name)).description == front["description"] + "."


@pytest.mark.parametrize("name", NAMES)
def test_a_slash_command_has_one_place_for_what_the_user_types_and_is_short(name: str) -> None:
    text = read_prompt(name)
    front, body = split_front_matter(text)
    assert list(front) == ["description", "argument-hint", "allowed-tools"]
    assert body.count('"$ARGUMENTS"') == body.count("$ARGUMENTS") == 1
    assert len(text.encode()) <= MAX_BYTES


async def test_the_argument_stands_where_the_command_wants_what_the_user_typed(client: Client) -> None:
    text = await text_of(client, {"name": "$ARGUMENTS {0} \\1"})
    assert 'The user asked for: "$ARGUMENTS {0} \\1"' in text


async def test_without_an_argument_the_menu_is_asked_for(client: Client) -> None:
    assert 'The user asked for: ""' in await text_of(client)


async def test_the_task_to_delegate_completes_to_the_templates(client: Client) -> None:
    assert await completed(client, "delegate", "task", "") == list(Templates().names())
    assert await completed(client, "delegate", "task", "Cla") == ["classify-logs"]
    assert await completed(client, "delegate", "task", "nothing") == []
    assert await completed(client, "delegate", "word2", "") == []


async def test_what_to_review_completes_to_what_git_can_tell(client: Client) -> None:
    assert await completed(client, "review", "files", "git:s") == ["git:staged"]
    assert await completed(client, "commit", "hint", "") == []


def test_a_text_without_front_matter_stays_as_it_is() -> None:
    assert split_front_matter("Hello\n---\nworld\n") == ({}, "Hello\n---\nworld\n")
