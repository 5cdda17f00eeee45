"""What to start of a coding agent: `launch` reads it from the command line, and the room of agents carries it out."""

from dataclasses import dataclass
from typing import Literal

AgentName = Literal["claude", "codex", "opencode"]


@dataclass(frozen=True)
class LaunchOrder:
    """What the user asked for.

    Attributes:
        agent: which one.
        model: a name for `chat`; None is the saved choice.
        small: the form with the smallest first request.
        keep_mcp: the user's MCP servers stay, this program's own excepted.
        shown: print two commands that do the same, and start nothing.
        force: start although the numbers say that it cannot work.
        subagents_local: the user's own model and login answer, but subagents that name the local model.
        arguments: of the user, for the agent; they come last.
    """

    agent: AgentName
    model: str | None = None
    small: bool = False
    keep_mcp: bool = False
    shown: bool = False
    force: bool = False
    subagents_local: bool = False
    arguments: tuple[str, ...] = ()
