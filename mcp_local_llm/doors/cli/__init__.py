"""The command line: reads arguments, calls a verb, prints its result. It must not know how models are loaded.

    commands, doctor, serve,
    install, bench              the commands and their arguments
    run                         runs one verb, with progress and exit codes
    show                        prints results
    login_service               the files of a LaunchAgent or systemd unit

Answers go to stdout, progress and notes to stderr. Exit codes: 0 done, 1 failed, 2 wrong request, 130
interrupted.
"""

from mcp_local_llm.doors.cli.bench import BenchParts
from mcp_local_llm.doors.cli.commands import run_command
from mcp_local_llm.doors.cli.login_service import LoginService, login_service
from mcp_local_llm.doors.cli.serve import ServeActions, ServeOptions

__all__ = ["BenchParts", "LoginService", "ServeActions", "ServeOptions", "login_service", "run_command"]
