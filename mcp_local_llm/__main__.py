"""The program `mcp-local-llm`: without a command the stdio server, as MCP clients start it; else the command line."""

import os
import signal
import sys

VERBOSE = ("--verbose", "-v")
COMPLETION = "_MCP_LOCAL_LLM_COMPLETE"
"""Variable that a shell sets to have a line completed; the command line has the words from other variables."""


def main() -> None:
    """Run the stdio server or a command."""
    # First of all: a client that dies during the imports, which take up to a second, has died as well.
    client = os.getppid()
    _open_closed_streams()
    if sys.argv[1:2] and sys.argv[1] in VERBOSE:
        # As a variable, which wins over the settings file.
        os.environ["MCP_LOCAL_LLM_LOG_LEVEL"] = "INFO"
        del sys.argv[1]
    # Nothing that others may write to, whatever the umask: settings name programs that are run.
    os.umask(os.umask(0) | 0o002)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # During the imports, where the exception of Ctrl-C may arrive as another one; later, each command catches it.
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    try:
        # Imported here, so that importing this module takes no time.
        from mcp_local_llm.start import run_cli, run_stdio, run_welcome

        if len(sys.argv) > 1 or COMPLETION in os.environ:
            run_cli()
        if sys.stdin.isatty():
            run_welcome()
        run_stdio(client)
    except KeyboardInterrupt:
        # Before or after a command, which says itself what Ctrl-C interrupts.
        os._exit(130)


def _open_closed_streams() -> None:
    """Put the null device in place of standard streams that are closed: the next file would get their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))


if __name__ == "__main__":
    main()
