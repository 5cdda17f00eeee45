"""The command line: translate arguments in, call the core, write text out.

Answers go to stdout, progress and notes to stderr. Exit codes: 0 done, 1 it failed, 2 the request was wrong,
130 interrupted.
"""

from mcp_local_llm.doors.cli.commands import run_command
from mcp_local_llm.doors.cli.login_service import LoginService, login_service
from mcp_local_llm.doors.cli.serve import ServeActions, ServeOptions

__all__ = ["LoginService", "ServeActions", "ServeOptions", "login_service", "run_command"]
