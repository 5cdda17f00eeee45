"""`docs/reliability.md` from the outcomes of a proof: `python -m tests.reliability.page FOLDER`."""

import json
import sys
from pathlib import Path

from tests.reliability.proofs import Table
from tests.source import ROOT

PAGE = ROOT / "docs" / "reliability.md"
HEAD = """# Reliability

What is promised when something goes wrong, how often it was tried, and what was lost. The tests write this page:
`make reliability` does to the program what each line says, and a promise that was not kept would stand here as lost: a
call without an answer or with another call's, a process that hangs, a file that is half written, text that someone else
could read. `make test-faults` tries each line once or twice.

The column *tried* is what the run did that wrote this page; `pytest --prove=FOLDER --at-most=N` cuts one short.
"""


def page(tables: list[Table]) -> str:
    """Return the text of the page."""
    parts = [HEAD]
    for table in tables:
        rows = [table.columns, tuple("---" for _ in table.columns), *table.rows]
        lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
        parts.append("\n".join([f"## {table.title}\n", *([f"{table.text}\n"] if table.text else []), *lines]) + "\n")
    return "\n".join(parts)


def read_tables(folder: Path) -> list[Table]:
    """Return the tables of a folder, in the order of their titles."""
    found = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json")))
    return [Table(one["title"], one["text"], tuple(one["columns"]), one["rows"]) for one in found]


if __name__ == "__main__":
    PAGE.write_text(page(read_tables(Path(sys.argv[1]))), encoding="utf-8")
