"""`mcp-local-llm` without arguments is the stdio server, as agents start it; with arguments, the command line."""

import sys


def main() -> None:
    """Run the one or the other."""
    # Imported here, so that this module itself costs nothing.
    from mcp_local_llm.app import run_cli, run_stdio

    if len(sys.argv) > 1:
        run_cli()
    run_stdio()


if __name__ == "__main__":
    main()
