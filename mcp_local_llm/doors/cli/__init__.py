"""The command line: translate arguments in, call the core, write text out.

Answers go to stdout, progress and notes to stderr. Exit codes: 0 done, 1 it failed, 2 the request was wrong,
130 interrupted.
"""

from mcp_local_llm.doors.cli.commands import run_command
from mcp_local_llm.doors.cli.login_service import Background, background
from mcp_local_llm.doors.cli.serve import Holder, ServeOptions

__all__ = ["Background", "Holder", "ServeOptions", "background", "run_command"]
