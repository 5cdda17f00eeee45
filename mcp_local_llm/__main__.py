"""`mcp-local-llm` without a command is the stdio server, as agents start it; with a command, the command line."""

import os
import sys

VERBOSE = ("--verbose", "-v")


def main() -> None:
    """Run the one or the other."""
    # Imported here, so that this module itself costs nothing.
    from mcp_local_llm.start import run_cli, run_stdio

    if sys.argv[1:2] and sys.argv[1] in VERBOSE:
        # A variable, because it wins over the file and every part that logs reads the settings.
        os.environ["MCP_LOCAL_LLM_LOG_LEVEL"] = "INFO"
        del sys.argv[1]
    if len(sys.argv) > 1:
        run_cli()
    run_stdio()


if __name__ == "__main__":
    main()
