"""Draws the speeds of reports as bars, into a PNG or SVG file. Needs matplotlib, which the extra `charts` brings."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mcp_local_llm.values.bench import BenchReport
from mcp_local_llm.values.errors import ConfigError

FORMATS = (".png", ".svg")


def require_drawable(path: Path) -> None:
    """Refuse a file that no chart can be written into; measuring takes minutes, so that is said before.

    Raises:
        ConfigError: the format is none of `FORMATS`, its folder is not there, or matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"A chart is written as {' or '.join(FORMATS)}, not as {path.name!r}.")
    if not path.parent.is_dir():
        raise ConfigError(f"{path.parent} is no folder. Name a file in one that exists.")
    if find_spec("matplotlib") is None:
        raise ConfigError("A chart needs matplotlib: pipx inject mcp-local-llm matplotlib.")


def draw(reports: Sequence[BenchReport], path: Path) -> None:
    """Draw the tokens per second of each report, one colour for a model.

    Raises:
        ConfigError: the file cannot be written.
    """
    # Imported here: only a chart needs it, and it takes a second.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

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
