"""A path that the user wrote into the settings: `~` stands for a home folder. It must not know what is there."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator


def _expanded(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("it holds a NUL, which no path can have")
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("there is no home folder for its ~; write the whole path") from None


UserPath = Annotated[Path, AfterValidator(_expanded)]
"""A path of the settings, with its `~` expanded."""
