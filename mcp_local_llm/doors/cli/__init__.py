"""The command line: reads arguments, calls a verb, prints its result. It must not know how models are loaded.

    commands                 puts the commands together
    chat/                    one question with its answer, or a conversation on a terminal
    model_commands, removing, config_command, doctor, launch,
    serve, install, bench    the other commands and their arguments
    run                      runs one command, with progress (progress_line) and exit codes
    show, terminal           print results as text that fits, or as JSON
    completion               names of models in the shell
    login_service            the files of a LaunchAgent or systemd unit

Answers go to stdout, progress and notes to stderr. Exit codes: 0 done, 1 failed, 2 wrong request, 3 an answer that is
cut off or not what was asked for, 130 interrupted, 141 nobody reads stdout.
"""

from mcp_local_llm.doors.cli.bench import BenchParts
from mcp_local_llm.doors.cli.commands import CommandParts, run_command
from mcp_local_llm.doors.cli.login_service import LoginService, login_service
from mcp_local_llm.doors.cli.serve import ServeActions, ServeOptions

__all__ = [
    "BenchParts",
    "CommandParts",
    "LoginService",
    "ServeActions",
    "ServeOptions",
    "login_service",
    "run_command",
]
