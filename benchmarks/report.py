"""The report: the table with what it was measured on."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version

from benchmarks.charts import charts
from benchmarks.figures import Row, table
from benchmarks.subjects import Sizes
from mcp_local_llm.machine import local_probe, read_machine
from mcp_local_llm.model import human_bytes


def report(rows: Sequence[Row], sizes: Sizes) -> str:
    """Write the page."""
    machine = read_machine(local_probe())
    versions = ", ".join(f"{name} {version(name)}" for name in ("mcp-local-llm", "mlx", "mlx-lm", "mcp"))
    return f"""# Benchmarks

Written by `python -m benchmarks --write`. What is compared ran in one process or beside it, on the same model, taking
turns; every figure is a median of {sizes.rounds} rounds, every ratio the median of the rounds' own ratios. Absolute
figures belong to this machine; ratios carry over better, and on a machine with other work even they move by some
percent.

- machine: {machine.chip}, {machine.cores} cores, {human_bytes(machine.memory.total)} of memory, {platform.system()}
- other work: a load average of {os.getloadavg()[2]:.1f} over the last fifteen minutes, the run's own included
- versions: {versions}, Python {platform.python_version()}
- `tiny`: the built-in model; its arithmetic is nothing, so it shows what everything around it costs
- `realistic`: random weights in the shape of Qwen2.5-0.5B, 4 bits, vocabulary of 151,936; `small`: a third of it
- answers of {sizes.decode} tokens for one stream, {sizes.together} for eight; the tokens of an answer are counted from
  its first to its last, prompts are included where several calls run at once

{table(rows)}

{charts(rows)}

`ratio` is ours over the reference in the order that the row names. For the 64 tokens over stdio it is a time in
milliseconds: what the client waited less what the engine in the server counted for the same call. Without reuse means
`stream_generate` over the whole conversation; by hand, the same with a `prompt_cache` that the caller keeps and trims.
"""
