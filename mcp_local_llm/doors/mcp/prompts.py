"""The MCP prompts, from the texts of the slash commands in `prompts/`, and completions of their first arguments."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import get_args

from mcp import MCPError
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.prompts.base import PromptArgument
from mcp_types import (
    INVALID_PARAMS,
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from mcp_local_llm.doors.mcp.file_tools import TemplateName
from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.setup.places import read_prompt, split_front_matter
from mcp_local_llm.values.errors import LocalLLMError, shortened

ARGUMENTS = "$ARGUMENTS"
"""The place in a slash command's text for what the user typed after its name."""

MAX_COMPLETIONS = 100
"""The most that the protocol allows in one answer."""

CUT_OFF = (
    "Some clients drop what is typed after word {words} of this command. If the text between the quotes breaks off, "
    "ask the user for the rest first."
)

Reference = PromptReference | ResourceTemplateReference


@dataclass(frozen=True)
class Command:
    """What a slash command's text does not say about it.

    Attributes:
        name: its file's name in `prompts/`, without the ending.
        title: for people.
        argument: the name of the first argument.
        about: describes the first argument.
        words: how many arguments there are. Claude Code splits what the user types at spaces, honours no quotes, and
            drops the words for which there is no argument.
        values: completions of the first argument.
    """

    name: str
    title: str
    argument: str
    about: str
    words: int = 8
    values: tuple[str, ...] = ()

    @property
    def arguments(self) -> dict[str, str]:
        """Names of the arguments with their descriptions."""
        further = {f"word{number}": f"A further word of the {self.argument}" for number in range(2, self.words + 1)}
        return {self.argument: self.about, **further}


SWITCH_MODEL = Command("switch-model", "Switch the local model", "name", "Role, fragment such as 32b, or number")

COMMANDS: Sequence[Command] = (
    SWITCH_MODEL,
    Command(
        "delegate", "Delegate a task", "task", "The task, after the name of a template if you like",
        words=24, values=get_args(TemplateName),
    ),
    Command(
        "review", "Take a first look at changes", "files", "A range such as git:main..HEAD, files or patterns",
        values=("git:staged", "git:HEAD~1..HEAD"),
    ),
    Command("commit", "Write a commit message", "hint", "What the message should say", words=24),
    Command("condense", "Condense a conversation", "file", "The file to condense, then the file to write"),
)  # fmt: skip


def command_prompts() -> list[Prompt]:
    """Make the prompts of this installation; reads the commands' texts."""
    return [_prompt(command, read_prompt(command.name)) for command in COMMANDS]


def first_argument_completion(
    llm: LLM,
) -> Callable[[Reference, CompletionArgument, CompletionContext | None], Awaitable[Completion | None]]:
    """Make the handler that completes the first argument of the prompts: models, templates, ranges."""

    async def complete(
        ref: Reference, argument: CompletionArgument, context: CompletionContext | None
    ) -> Completion | None:
        asked = (ref.name, argument.name) if isinstance(ref, PromptReference) else None
        command = next((one for one in COMMANDS if (one.name, one.argument) == asked), None)
        if command is None:
            return None
        if command is not SWITCH_MODEL:
            names: Sequence[str] = [value for value in command.values if value.startswith(argument.value.lower())]
        else:
            try:
                names = await llm.complete(argument.value)
            except LocalLLMError:
                return None  # The call that follows says what is wrong.
        values = list(names[:MAX_COMPLETIONS])
        return Completion(values=values, total=len(names), has_more=len(names) > len(values))

    return complete


def _prompt(command: Command, text: str) -> Prompt:
    """Make a prompt from the text of its slash command (front matter and all)."""
    front, body = split_front_matter(text)
    arguments = command.arguments

    def render(**words: str) -> str:
        unknown = words.keys() - arguments.keys()
        if unknown:
            named = shortened(", ".join(sorted(unknown)))
            message = f"There is no argument {named}. The prompt has: {', '.join(arguments)}."
            raise MCPError(INVALID_PARAMS, message)
        typed = [words[name].strip() for name in arguments if words.get(name, "").strip()]
        # A client that has no argument left for a word drops it and says nothing.
        cut = f"\n{CUT_OFF.format(words=command.words)}\n" if f"word{command.words}" in words else ""
        return body.replace(ARGUMENTS, " ".join(typed)) + cut

    return Prompt(
        name=command.name,
        title=command.title,
        description=front["description"] + ".",
        arguments=[PromptArgument(name=name, description=about, required=False) for name, about in arguments.items()],
        fn=render,
        context_kwarg=None,
    )
