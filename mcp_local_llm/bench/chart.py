"""Draws the speeds of reports as bars, into a PNG or SVG file. Needs matplotlib, which the extra `charts` brings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcp_local_llm.values.bench import BenchReport
from mcp_local_llm.values.errors import ConfigError

FORMATS = (".png", ".svg")


def draw(reports: Sequence[BenchReport], path: Path) -> None:
    """Draw the tokens per second of each report, one colour for a model.

    Raises:
        ConfigError: matplotlib is not installed, the format is none of `FORMATS`, or the file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"A chart is written as {' or '.join(FORMATS)}, not as {path.name!r}.")
    try:
        # Imported here: only a chart needs it, and it takes a second.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Drawing
    except ImportError as error:
        raise ConfigError("A chart needs matplotlib: pipx inject mcp-local-llm matplotlib.") from error
    names = list(dict.fromkeys(one.name for report in reports for one in report.figures if one.unit == "tok/s"))
    drawing: Any = Drawing(figsize=(8, 1.2 + 0.35 * len(names) * len(reports)), layout="constrained")
    FigureCanvasAgg(drawing)
    axes: Any = drawing.subplots()
    height = 0.8 / len(reports)
    for number, report in enumerate(reports):
        rows = [(row, report.figure(name)) for row, name in enumerate(names)]
        known = [(row, figure) for row, figure in rows if figure is not None]
        places = [row + number * height for row, _ in known]
        medians = [figure.median for _, figure in known]
        low = [figure.median - min(figure.values) for _, figure in known]
        high = [max(figure.values) - figure.median for _, figure in known]
        axes.barh(places, medians, height * 0.9, xerr=[low, high], label=report.model)
    axes.set_yticks([row + 0.4 - height / 2 for row in range(len(names))], names)
    axes.invert_yaxis()
    axes.set_xlabel("tokens per second, median; the line is the spread")
    axes.legend()
    axes.set_title(reports[0].machine, fontsize=9)
    try:
        drawing.savefig(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from error
