"""Starts a coding agent whose every model request is answered here. It must not know how models are loaded, or doors.

    forms                        the ways to start an agent, and the measured size of each one's first request
    order                        the facts of door and model that the agent is told, and how it is started
    instructions                 the text of CLAUDE.md and the like, to be counted
    facts                        what the verbs tell of the model
    suitability                  whether a model suits an agent, in three lines; pure
    claude_code, codex, opencode the environment, flags and private files of one agent; pure
    subagents                    the subagents that the local model answers
    user_servers                 the MCP servers that the user has configured for an agent
    programs                     where an agent's program is
    child, screen                the agent's process: terminal, signals, exit code; the log, held back meanwhile
    printed                      the same start as two shell commands
    launch                       puts these together
    beside                       the same where the user's own model stays, and only subagents are answered here
    claude_settings              the variables that Claude Code's own settings set
    local_server                 the local model in a process of its own
    install/                     writes this server into the settings of agents, and takes it out again
    forwarder/                   a process beside the agent: only the requests of local subagents are answered here

`launch` writes no file of the user: an agent gets its settings by environment, flags, and files in a private folder
that is deleted after it.
"""
