"""Draws the guide's pictures into docs/pictures, from the numbers of the tables: `python -m release.pictures`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from mcp_local_llm.models.fit import published_rule
from mcp_local_llm.models.known import KNOWN_MODELS
from mcp_local_llm.setup.machine import chip_bandwidth
from release.tables import BITS, CHIPS, SIZES, ceiling, speed

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
DRAWN: Mapping[str, object] = {"svg.fonttype": "none", "svg.hashsalt": "mcp-local-llm", "font.family": "sans-serif"}
"""Text stays text in the file, in the reader's own font, and the same picture is the same file."""

STYLE: Any = mpl
"""Untyped: the signature of its settings names three hundred keys."""

FEELS = (8, 18, 30)
"""Tokens per second at which the word for a speed changes."""


def memory() -> Any:
    """Draw the memory that sizes need at several quantizations, with that of usual Macs."""
    figure, axes = _axes("Memory that a model needs", "GB: parameters × bits ÷ 8 + 2")
    height = 0.8 / len(BITS)
    for number, bits in enumerate(BITS):
        values = [published_rule(size * 10**9, bits) / 1e9 for size in SIZES]
        axes.barh([row + number * height for row in range(len(SIZES))], values, height * 0.9, label=f"{bits} bits")
    axes.set_yticks([row + 0.3 for row in range(len(SIZES))], [f"{size} billion" for size in SIZES])
    for gigabytes in (16, 32, 64):
        axes.axvline(ceiling(gigabytes) / 1e9, color="grey", linewidth=0.8)
        axes.text(ceiling(gigabytes) / 1e9 + 0.5, 2.6, f"fits a Mac with {gigabytes} GB", fontsize=7, rotation=90)
    axes.invert_yaxis()
    axes.legend()
    return figure


def speeds() -> Any:
    """Draw the estimated speed against the bandwidth of the memory."""
    figure, axes = _axes("Speed follows the memory's bandwidth", "tokens per second at 4 bits, estimated")
    rates = [chip_bandwidth(f"Apple {chip}", cores) or 0 for chip, cores in CHIPS]
    order = sorted(range(len(CHIPS)), key=lambda index: rates[index])
    for model in KNOWN_MODELS[:5]:
        values = [speed(model, 4, rates[index]).tokens_per_second for index in order]
        axes.plot(values, range(len(order)), marker="o", label=model.name)
    axes.set_yticks(range(len(order)), [f"{CHIPS[index][0]}, {rates[index] / 1e9:.0f} GB/s" for index in order])
    axes.set_xscale("log")
    axes.set_xticks([4, 100, 200, *FEELS], ["4", "100", "200", *(str(bound) for bound in FEELS)])
    axes.minorticks_off()
    for bound in FEELS:
        axes.axvline(bound, color="grey", linewidth=0.8, linestyle=":")
    axes.legend(fontsize=7)
    return figure


def experts() -> Any:
    """Draw the parameters that exist and those that one token reads, dense and as a mixture of experts."""
    figure, axes = _axes("Why a mixture of experts is fast", "billions of parameters")
    models = [model for model in KNOWN_MODELS if "32B" in model.name or "Coder-30B" in model.name]
    rows = range(len(models))
    axes.barh(rows, [model.parameters / 1e9 for model in models], 0.7, label="in memory", color="lightgrey")
    axes.barh(rows, [model.active_parameters / 1e9 for model in models], 0.35, label="read for each token")
    axes.set_yticks(rows, [model.name for model in models])
    axes.legend()
    return figure


PICTURES: Mapping[str, Callable[[], Any]] = {"memory": memory, "speeds": speeds, "experts": experts}


def draw(folder: Path) -> None:
    """Write every picture as SVG."""
    folder.mkdir(parents=True, exist_ok=True)
    with STYLE.rc_context(dict(DRAWN)):
        for name, make in PICTURES.items():
            make().savefig(folder / f"{name}.svg", metadata={"Date": None})


def _axes(title: str, label: str) -> tuple[Any, Any]:
    figure: Any = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.set_xlabel(label)
    return figure, axes


if __name__ == "__main__":
    draw(FOLDER)
