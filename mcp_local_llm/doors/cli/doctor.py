"""The command `doctor`: prints findings about this machine, with advice."""

import dataclasses
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from mcp_local_llm.doors.cli.bundle import bundle_path, save_bundle
from mcp_local_llm.doors.cli.run import FAILED, INTERRUPTED, WRONG_REQUEST, fail
from mcp_local_llm.doors.cli.serve import DEFAULT_PORT
from mcp_local_llm.doors.cli.terminal import new_console
from mcp_local_llm.values.errors import shortened
from mcp_local_llm.values.visible_text import printable
from mcp_local_llm.wire.flavors import USUAL_PORTS

if TYPE_CHECKING:
    from mcp_local_llm.doctor import Examination, Finding

Examine = Callable[[Sequence[int]], "Awaitable[Examination]"]
"""Examines this machine; takes the ports of 127.0.0.1 on which to look for servers."""

NO_PORTS = "none"
EXAMPLES = """\b
Examples:
  mcp-local-llm doctor
  mcp-local-llm doctor --ports 1234,8000 --json
  mcp-local-llm doctor --bundle report.txt"""
INDENT = " " * 9


def add_doctor_command(commands: typer.Typer, examine: Examine) -> None:
    """Add `doctor`."""
    usual = (*USUAL_PORTS, DEFAULT_PORT)

    def doctor(
        file: Annotated[Path | None, typer.Argument(help="With --bundle: the new file.", show_default=False)] = None,
        ports: Annotated[
            str | None,
            typer.Option(
                help="Look for servers on these ports, e.g. 1234,8000; `none` looks at none.", show_default=False
            ),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
        bundle: Annotated[
            bool, typer.Option("--bundle", help="Write a report for an issue, without private text; asks first.")
        ] = False,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="With --bundle: do not ask.")] = False,
    ) -> None:
        """Check this machine and say what to do. Changes nothing; the exit code is 1 where something needs you."""
        if ((file or yes) and not bundle) or (bundle and as_json):
            fail("FILE and --yes belong to --bundle, and --bundle goes without --json.", WRONG_REQUEST)
        path = bundle_path(file, yes=yes) if bundle else None
        # Imported here: other commands check nothing.
        from mcp_local_llm.doctor import has_problems

        wanted = usual if ports is None else _read_ports(ports)
        try:
            with new_console(stderr=True).status("looking"):
                examined = anyio.run(examine, wanted)
        except KeyboardInterrupt:
            fail("interrupted", INTERRUPTED)
        findings = examined.findings
        if path is not None:
            save_bundle(examined.bundle(), path, yes=yes)
            return
        if as_json:
            print(json.dumps({"findings": [dataclasses.asdict(finding) for finding in findings]}, indent=1))
        else:
            _show(findings)
        if has_problems(findings):
            raise typer.Exit(FAILED)

    commands.command(epilog=EXAMPLES)(doctor)


def _read_ports(text: str) -> tuple[int, ...]:
    if text.strip() == NO_PORTS:
        return ()
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and 0 < int(word) < 65_536 for word in words):
        fail(
            f"--ports takes numbers from 1 to 65535 with commas between them, or `none`; not {shortened(text)!r}.",
            WRONG_REQUEST,
        )
    return tuple(int(word) for word in words)


def _show(findings: "Sequence[Finding]") -> None:
    for finding in findings:
        print(f"{finding.verdict:<8} {finding.name}: {printable(finding.text)}")
        for line in finding.advice.splitlines():
            print(f"{INDENT}{printable(line)}")
    print(_summary(findings))
    sys.stdout.flush()


def _summary(findings: "Iterable[Finding]") -> str:
    verdicts = [finding.verdict for finding in findings]
    problems, notes = verdicts.count("problem"), verdicts.count("note")
    if not problems:
        return f"Nothing is wrong; notes: {notes}."
    return f"Problems that need you: {problems}; notes: {notes}."
