"""Run the comparisons and write the report: `python -m benchmarks [--models tiny,realistic] [--only NAME] [--write]`.

Other servers that are installed are measured beside ours; see CONTRIBUTING.md for how to get them.
Other commands of this package: `benchmarks.constrained` (grammar), `benchmarks.parsing_linear` (parser),
`benchmarks.agent_sessions` (tokens read by agents' sessions), `benchmarks.counting` (25 counts at once).
"""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.decoding import beside_a_long_prompt, eight_at_once, one_stream
from benchmarks.figures import Row, table
from benchmarks.loading import loading
from benchmarks.peers import OPTIONAL, find_peers, parse_places
from benchmarks.report import report
from benchmarks.reuse import second_question, sixth_turn, three_conversations
from benchmarks.subjects import MODELS, Sizes, Subject, make_subject

Comparison = Callable[[Subject, Path], Awaitable[list[Row]]]

COMPARISONS: tuple[Comparison, ...] = (
    one_stream,
    beside_a_long_prompt,
    sixth_turn,
    three_conversations,
    second_question,
    loading,
    eight_at_once,
)
LONG = (beside_a_long_prompt, sixth_turn, three_conversations, second_question)
"""Those that read long prompts; left out for a model that is slow here."""
REPORT = Path("docs/benchmarks.md")


def main() -> None:
    """Measure what was asked for, print the table, and write the report where that was asked for."""
    names = [comparison.__name__ for comparison in COMPARISONS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="tiny,realistic", help=f"{', '.join(MODELS)}; separated by commas")
    parser.add_argument("--only", choices=names, action="append", help="one comparison (may be given again)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each kind (default: 5)")
    parser.add_argument("--quick", action="store_true", help="shorter answers and prompts; for slow machines and CI")
    parser.add_argument("--write", action="store_true", help=f"write {REPORT}")
    parser.add_argument(
        "--peers",
        metavar="NAME=PATH",
        action="append",
        default=[],
        help=f"where {', '.join(OPTIONAL)} is, if not on the PATH (may be given again)",
    )
    options = parser.parse_args()
    try:
        places = parse_places(options.peers)
    except ValueError as error:
        parser.error(str(error))
    models = options.models.split(",")
    if unknown := [name for name in models if name not in MODELS]:
        parser.error(f"--models: unknown {', '.join(unknown)}; there are {', '.join(MODELS)}")
    chosen = [one for one in COMPARISONS if not options.only or one.__name__ in options.only]
    print("comparisons:", ", ".join(one.__name__ for one in chosen), flush=True)
    peers, absent = find_peers(places)
    print("peers:", "; ".join(f"{one.peer.name} {one.version}" for one in peers))
    print("peers left out:", ", ".join(absent) or "none", flush=True)
    sizes = Sizes(options.rounds)
    if options.quick:
        sizes = replace(sizes, decode=96, together=48, file=4096)
    rows: list[Row] = []
    subjects: list[Subject] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder).resolve()
        for name in models:
            subject = make_subject(name, scratch, sizes, peers)
            subjects.append(subject)
            print(f"{name} reads {subject.reads:.0f} tokens a second", flush=True)
            for comparison in chosen:
                if subject.slow and comparison in LONG and not options.only:
                    print(f"{comparison.__name__} is left out; --only {comparison.__name__} runs it", flush=True)
                    continue
                found = asyncio.run(_awaited(comparison(subject, scratch)))
                rows += found
                print(table(found), flush=True)
                if options.write:
                    # Each time: a run that is interrupted after an hour leaves what it has found.
                    REPORT.write_text(report(rows, subjects, peers), encoding="utf-8")
                    print(f"written: {REPORT}", flush=True)


async def _awaited(rows: Awaitable[list[Row]]) -> list[Row]:
    return await rows


if __name__ == "__main__":
    main()
