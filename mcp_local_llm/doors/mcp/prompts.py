"""The MCP prompt `/switch-model`, from the text of the slash command, and completions of its argument `name`."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

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

from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.values.errors import LocalLLMError

ARGUMENTS = "$ARGUMENTS"
"""The place in a slash command's text for what the user typed after its name."""

WORDS: Mapping[str, str] = MappingProxyType(
    {"name": "Role, fragment such as 32b, or number"}
    | {f"word{number}": "A further word of the name" for number in range(2, 9)}
)
"""The arguments and their descriptions. Claude Code splits what the user types at spaces, honours no quotes, and drops
the words for which there is no argument."""

MAX_COMPLETIONS = 100
"""The most that the protocol allows in one answer."""

Reference = PromptReference | ResourceTemplateReference


def switch_model_prompt(command: str) -> Prompt:
    """Make the prompt from the slash command's text (front matter and all)."""
    body = without_front_matter(command)

    def switch_model(**words: str) -> str:
        unknown = words.keys() - WORDS.keys()
        if unknown:
            message = f"There is no argument {', '.join(sorted(unknown))}. The prompt has: {', '.join(WORDS)}."
            raise MCPError(INVALID_PARAMS, message)
        return body.replace(ARGUMENTS, " ".join(words[name].strip() for name in WORDS if words.get(name, "").strip()))

    return Prompt(
        name="switch-model",
        title="Switch the local model",
        description="Choose the local model from a menu, or name it (a role, a fragment such as 32b, or a number).",
        arguments=[PromptArgument(name=name, description=text, required=False) for name, text in WORDS.items()],
        fn=switch_model,
        context_kwarg=None,
    )


def name_completion(
    llm: LLM, prompt: str
) -> Callable[[Reference, CompletionArgument, CompletionContext | None], Awaitable[Completion | None]]:
    """Make the handler that completes the argument `name` of the prompt of this name."""

    async def complete(
        ref: Reference, argument: CompletionArgument, context: CompletionContext | None
    ) -> Completion | None:
        if not isinstance(ref, PromptReference) or (ref.name, argument.name) != (prompt, "name"):
            return None
        try:
            names = await llm.complete(argument.value)
        except LocalLLMError:
            return None  # The call that follows says what is wrong.
        values = list(names[:MAX_COMPLETIONS])
        return Completion(values=values, total=len(names), has_more=len(names) > len(values))

    return complete


def without_front_matter(text: str) -> str:
    """Drop the block between two lines of three dashes at the top, if there is one."""
    if not text.startswith("---\n"):
        return text
    _, _, rest = text[4:].partition("\n---\n")
    return rest.lstrip("\n")
