"""The program `mcp-local-llm`: without a command the stdio server, as MCP clients start it; else the command line."""

import os
import sys

VERBOSE = ("--verbose", "-v")


def main() -> None:
    """Run the stdio server or a command."""
    # Imported here, so that importing this module takes no time.
    from mcp_local_llm.start import run_cli, run_stdio

    if sys.argv[1:2] and sys.argv[1] in VERBOSE:
        # As a variable, which wins over the settings file.
        os.environ["MCP_LOCAL_LLM_LOG_LEVEL"] = "INFO"
        del sys.argv[1]
    if len(sys.argv) > 1:
        run_cli()
    run_stdio()


if __name__ == "__main__":
    main()
