"""Completes names of models in the shell; `--install-completion` sets the shell up."""

import logging
from collections.abc import Callable

import anyio

from mcp_local_llm.doors.cli.run import OpenLLM
from mcp_local_llm.values.errors import LocalLLMError

COMPLETION_TIMEOUT_S = 3.0
"""Seconds after which no names are completed: servers of endpoints may be slow."""

CompleteNames = Callable[[str], list[str]]


def name_completion(open_llm: OpenLLM) -> CompleteNames:
    """Return the function that the shell calls with the beginning of a name."""

    def names(incomplete: str) -> list[str]:
        async def ask() -> tuple[str, ...]:
            with anyio.move_on_after(COMPLETION_TIMEOUT_S):
                async with open_llm(lambda _: None) as parts:
                    return await parts.llm.complete(incomplete)
            return ()

        # A warning would land in the middle of the line that is being typed.
        logging.disable()
        try:
            found = anyio.run(ask)
        except (LocalLLMError, KeyboardInterrupt):
            return []
        # Shells replace the typed word by its completion, so it has to begin with that word.
        return [name for name in found if name.startswith(incomplete)]

    return names
