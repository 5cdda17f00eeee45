"""The facts that an agent is told, and how it is started: frozen values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mcp_local_llm.values.launch_order import LaunchOrder

MAX_OUTPUT_TOKENS = 8192
"""The most tokens of one answer that an agent is told to ask for."""

OUTPUT_SHARE = 8
"""An answer takes at most this part of the window, because agents keep its room free."""

LEAST_TOLD_WINDOW = 40_000
"""Tokens. Claude Code compacts at window - output - 13,000; below this it would compact nearly all the time, so it is
not told the window and compacts when the door refuses a prompt as too long."""


LOOPBACK = "127.0.0.1,localhost"

NO_PROXY = ("NO_PROXY", "no_proxy")
"""Programs read the one or the other."""


@dataclass(frozen=True)
class ModelFacts:
    """The facts of the model.

    Attributes:
        name: what requests call it.
        window: tokens of prompt and answer together; None where they are not known.
        tools: whether its chat template writes tools; None where that is not known.
        sample_tokens: its count of `forms.SAMPLE`; None where its server does not count.
        instruction_tokens: of the user's and the project's instruction files for the agent.
        prefill: tokens per second of reading a prompt, measured on this machine; None before the first measurement.
    """

    name: str
    window: int | None
    tools: bool | None = None
    sample_tokens: int | None = None
    instruction_tokens: int = 0
    prefill: float | None = None

    @property
    def output(self) -> int:
        """The most tokens of one answer."""
        return MAX_OUTPUT_TOKENS if self.window is None else min(MAX_OUTPUT_TOKENS, self.window // OUTPUT_SHARE)


@dataclass(frozen=True)
class Door:
    """Where the agent sends its requests: the address without a path, and the key."""

    address: str
    key: str


@dataclass(frozen=True)
class UserServers:
    """The MCP servers of the user for one agent, by name.

    Attributes:
        own: names of those that start this program.
        others: the other servers, as the agent's own settings describe them.
        unapproved: names of servers of the project that the user has not approved, so they stay out in any case.
    """

    own: tuple[str, ...] = ()
    others: Mapping[str, object] = field(default_factory=dict[str, object])
    unapproved: tuple[str, ...] = ()

    def left_out(self, *, keep: bool) -> tuple[str, ...]:
        """Return the names of those that the agent does not get: all, or with `keep` only this program's own."""
        return self.own if keep else (*self.own, *self.others)


@dataclass(frozen=True)
class AgentStart:
    """How an agent is started.

    Attributes:
        flags: before the user's own arguments.
        environ: variables that are set.
        removed: variables that are removed: keys and addresses of other model servers.
        key: the variable among `environ` that holds the door's key.
        files: name → text of files in the private folder, which flags and variables name by their whole path.
    """

    flags: Sequence[str]
    environ: Mapping[str, str]
    removed: Sequence[str]
    key: str
    files: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Scene:
    """All that the start of an agent depends on.

    Attributes:
        folder: the private folder, in which `AgentStart.files` will be.
        without_proxy: the variables that keep requests to the door away from a proxy of the user's.
    """

    order: LaunchOrder
    door: Door
    model: ModelFacts
    servers: UserServers
    folder: Path
    without_proxy: Mapping[str, str]


def without_proxy(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables that name the hosts that the user reaches without a proxy, and the loopback."""
    named = next((environ[name] for name in NO_PROXY if environ.get(name)), "")
    return dict.fromkeys(NO_PROXY, f"{named},{LOOPBACK}" if named else LOOPBACK)
