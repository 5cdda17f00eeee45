"""Helps the user to name a model: completes what is typed, and asks where a name means several.

A client is asked only if it says that it can show a question. Without that, the numbered candidates are an error, and
whoever reads it chooses.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from mcp.server.mcpserver import Context, Elicit
from mcp_types import Completion, CompletionArgument, CompletionContext, PromptReference, ResourceTemplateReference
from pydantic import BaseModel, Field, create_model

from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.values.errors import LocalLLMError

MAX_COMPLETIONS = 100
"""The most that the protocol allows in one answer."""

Reference = PromptReference | ResourceTemplateReference
Ask = Callable[[str, Context[Any, Any]], Awaitable[Elicit["ModelChoice"] | None]]


class ModelChoice(BaseModel):
    """What the user answers."""

    model: str


def model_question(llm: LLM) -> Ask:
    """Make the resolver that asks which model a name means; it gives None where there is nothing to ask."""

    async def ask_which_model(name: str, ctx: Context[Any, Any]) -> Elicit[ModelChoice] | None:
        if not _shows_questions(ctx):
            return None
        candidates = await llm.candidates(name)
        if not candidates:
            return None
        field = Field(title="Model", json_schema_extra={"enum": [*candidates]})
        schema = create_model("ModelChoice", __base__=ModelChoice, model=(str, field))
        return Elicit(f"{name!r} means {len(candidates)} models. Which one?", schema)

    return ask_which_model


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


def _shows_questions(ctx: Context[Any, Any]) -> bool:
    """Tell whether the client takes form questions; a bare `elicitation: {}` means that it does."""
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)
