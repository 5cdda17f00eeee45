"""Charts of the report, as Mermaid text: what shows a page of Markdown draws them, and a diff stays readable."""

from collections.abc import Sequence

from benchmarks.figures import Row


def charts(rows: Sequence[Row]) -> str:
    """Draw each model's speeds as shares of the reference, and what reuse of prompts gains."""
    models = list(dict.fromkeys(row.model for row in rows))
    drawn: list[str] = []
    for model in models:
        mine = [row for row in rows if row.model == model]
        # Another engine's bar is many times as long with `tiny`, and would hide what the others differ by.
        speeds = [row for row in mine if row.unit == "tok/s" and "GGUF" not in row.what]
        gains = [row for row in mine if "without reuse" in row.what]
        drawn += _chart(f"{model}: share of the reference's tokens per second", speeds)
        drawn += _chart(f"{model}: first token, times faster than without reuse", gains)
    return "\n\n".join(drawn)


def _chart(title: str, rows: Sequence[Row]) -> list[str]:
    """Draw one bar a row; nothing where there is no row."""
    if not rows:
        return []
    names = ", ".join(f'"{_short(row.what)}"' for row in rows)
    values = ", ".join(f"{row.ratio:.2f}" for row in rows)
    top = max(1.2, max(row.ratio for row in rows) * 1.1)
    return [
        "```mermaid\n"
        "xychart-beta horizontal\n"
        f'    title "{title}"\n'
        f"    x-axis [{names}]\n"
        f'    y-axis "ratio" 0 --> {top:.1f}\n'
        f"    bar [{values}]\n"
        "```"
    ]


def _short(what: str) -> str:
    """Name what was measured, without what it was compared with."""
    return what.partition(" / ")[0].replace("`", "").replace('"', "").removesuffix(", without reuse")
