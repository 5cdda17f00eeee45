"""A change of a coding agent's settings that `install` or `uninstall` shows before it is made."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ClientChange:
    """A change of one client's settings.

    Attributes:
        client, title: the client's name on the command line and in sentences.
        place: the file that is changed, or the program that changes it.
        shown: the change as a diff or as commands; empty where nothing is to be done.
        note: why nothing is to be done or can be done.
        failed: the settings cannot be changed, for the reason in `note`.
        make: makes the change, and returns one sentence about the outcome. It raises ConfigError where it fails.
    """

    client: str
    title: str
    place: str
    shown: str = ""
    note: str = ""
    failed: bool = False
    make: Callable[[], str] | None = None
