"""Progress as comments of an event stream: clients that know nothing of it ignore it.

Two forms are read: ours, such as `local-llm answer 40/? 31.50`, and `keepalive 512/3100`, which mlx_lm.server sends
while it reads a prompt.
"""

import re
from collections.abc import Mapping
from typing import get_args

from mcp_local_llm.values.engine import Phase, Progress

_OURS = re.compile(r"local-llm (\w+) (\d+)/(\d+|\?)(?: (\d+(?:\.\d+)?))?")
_KEEPALIVE = re.compile(r"keepalive (\d+)/(\d+)")
_PHASES: Mapping[str, Phase] = {phase: phase for phase in get_args(Phase)}


def progress_comment(progress: Progress) -> str:
    """Write a step of progress as the text of a comment."""
    total = "?" if progress.total is None else progress.total
    rate = "" if progress.rate is None else f" {progress.rate:.2f}"
    return f"local-llm {progress.phase} {progress.done}/{total}{rate}"


def read_comment(text: str) -> Progress | None:
    """Return the progress that a comment tells; None for any other comment."""
    if keepalive := _KEEPALIVE.fullmatch(text.strip()):
        return Progress("prefill", int(keepalive[1]), int(keepalive[2]))
    if ours := _OURS.fullmatch(text.strip()):
        phase = _PHASES.get(ours[1])
        total = None if ours[3] == "?" else int(ours[3])
        return Progress(phase, int(ours[2]), total, float(ours[4]) if ours[4] else None) if phase else None
    return None
