"""The report: the table with what it was measured on."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version

from benchmarks.charts import charts
from benchmarks.figures import Row, table
from benchmarks.peers import Installed
from benchmarks.subjects import SLOW, Subject
from mcp_local_llm.setup.machine import local_machine_reader, read_machine
from mcp_local_llm.values.model import human_bytes


def report(rows: Sequence[Row], subjects: Sequence[Subject], peers: Sequence[Installed]) -> str:
    """Write the page; `peers` are those that were there, of which it names the ones that have a row."""
    machine = read_machine(local_machine_reader())
    versions = ", ".join(f"{name} {version(name)}" for name in ("mcp-local-llm", "mlx", "mlx-lm", "mcp"))
    return f"""# Benchmarks

Written by `python -m benchmarks --write`. What is compared ran in one process or beside it, on the same model, taking
turns; every figure is a median of {subjects[0].sizes.rounds} rounds, every ratio the median of the rounds' own ratios.
Absolute figures belong to this machine; ratios carry over better, and on a machine with other work even they move by
some percent.

- machine: {machine.chip}, {machine.cores} cores, {human_bytes(machine.memory.total)} of memory, {platform.system()}
- other work: a load average of {os.getloadavg()[2]:.1f} over the last fifteen minutes, the run's own included
- versions: {versions}, Python {platform.python_version()}{_preloaded()}
- other servers: {_versions(rows, peers)}
- `tiny`: the built-in model; its arithmetic is nothing, so it shows what everything around it costs
- `realistic`: random weights in the shape of Qwen2.5-0.5B, 4 bits, vocabulary of 151,936; `small`: a third of it;
  `half`: `small` with all but its codes in 16 bits, as mlx-lm converts; the engine widens the scales on a CPU;
  `dense`: `realistic` with weights of 32 bits, for CPUs that multiply those much faster
{_sizes(subjects)}

The tokens of an answer are counted from its first to its last; prompts are included where several calls run at once.

{table(rows)}

{charts(rows)}

`ratio` is ours over the reference in the order that the row names. For the 64 tokens over stdio it is a time in
milliseconds: what the client waited less what the engine in the server counted for the same call. Without reuse means
`stream_generate` over the whole conversation; by hand, the same with a `prompt_cache` that the caller keeps and trims.

The rows of `each_file` are made in one call to our application in this process: it reads 40 files of 120 tokens,
counts, asks, keeps a journal and writes the text that goes back. Bare mlx-lm gets the same conversations; it renders
them, computes the beginning that all share once, gives each a copy of that cache, and computes as many tokens of each
row, 32. The second question about a file is a second call, with a file of its own each round, timed from the call to
its answer of one token, reading and counting included:

```bash
python -m benchmarks --models small,tiny --only each_file --only file_again
```

Other servers run as their documentation starts them, each in a process of its own that is idle while another is
measured; `vllm-mlx` with continuous batching, `llama-server` with eight slots. What is not installed has no row;
CONTRIBUTING.md tells how to get it. The servers that are made of MLX bring an mlx-lm of their own, and load the same
folder. `llama-server` is another engine and reads a GGUF file made of the folder: F32 holds the weights of `tiny`
exactly; Q4_1 has the 4-bit codes of the others, while scale and offset of each group are rounded from 32 bits to 16, so
that its weights are nearly, not bit by bit, the same. The charts leave it out: on a model as small as `tiny` it is so
much faster on a CPU that the others' bars could not be told apart.
"""


def _preloaded() -> str:
    """Name the libraries that were loaded before MLX's own, another BLAS for example."""
    names = os.environ.get("LD_PRELOAD", "")
    return f"; `LD_PRELOAD={names}`" if names else ""


def _sizes(subjects: Sequence[Subject]) -> str:
    """Tell the length of the answers, and what was left out."""
    lines: list[str] = []
    for subject in subjects:
        one, eight = subject.sizes.decode, subject.sizes.together
        line = f"- `{subject.name}` answers with {one} tokens in one stream, with {eight} each in eight"
        if subject.sizes.streams > subject.sizes.rounds:
            line += f"; single streams and loads are medians of {subject.sizes.streams} rounds"
        if subject.slow:
            speed = f"this machine reads {subject.reads:.0f} tokens of its prompts a second"
            rule = f"below {SLOW:.0f}, long prompts are measured only with `--only`, because they take hours"
            line += f";\n  {speed}; {rule}"
        lines.append(line)
    return "\n".join(lines)


def _versions(rows: Sequence[Row], peers: Sequence[Installed]) -> str:
    """Name the peers that were measured."""
    measured = [one for one in peers if any(f"`{one.peer.name}`" in row.what for row in rows)]
    return ";\n  ".join(f"`{one.peer.name}` {one.version}" for one in measured) or "none"
