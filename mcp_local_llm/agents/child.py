"""The agent's process: it shares the terminal with this one, gets this one's signals, and its exit code is returned.

The agent stays in this process's group, so the terminal sends it Ctrl-C, Ctrl-Z and changes of size by itself. This
process passes on what was sent to it alone, and never ends by a signal before the agent does: it answers the agent.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager

import anyio.to_thread

from mcp_local_llm.values.errors import ConfigError

SIGNAL_CODE = 128
"""The exit code of a program that a signal ended is this plus the signal's number, as in shells."""

FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
"""Signals that a terminal sends to the agent as well; passed on, they would count as a second key press."""

PASSED_ON = (*FROM_TERMINAL, signal.SIGTERM, signal.SIGHUP)


async def run_agent(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the agent until it ends; return its exit code.

    Args:
        command: the program's whole path and its arguments.
        environ: its whole environment.

    Raises:
        ConfigError: the program cannot be started.
    """
    with _signals() as pass_to:
        try:
            agent = os.posix_spawn(command[0], [*command], environ)
        except OSError as error:
            raise ConfigError(f"{command[0]} cannot be started: {error.strerror}.") from error
        pass_to(agent)
        # Not abandoned when the caller is cancelled: the door must outlive the agent.
        return await anyio.to_thread.run_sync(_exit_code, agent)


@contextmanager
def _signals() -> Generator[Callable[[int], None]]:
    """Handle the signals of this process; the function that is yielded names the agent that gets them.

    A signal that this process was told to ignore (`nohup`) stays so, for the agent as well.
    """
    loop = asyncio.get_running_loop()
    agents = list[int]()

    def pass_on(number: signal.Signals) -> None:
        for agent in agents:
            if not (number in FROM_TERMINAL and _in_foreground()):
                _send(agent, number)

    wanted = [number for number in PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN]
    for number in wanted:
        loop.add_signal_handler(number, pass_on, number)
    # Ctrl-Z stops this process only if it stops the agent; see `_exit_code`.
    loop.add_signal_handler(signal.SIGTSTP, lambda: None)
    try:
        yield agents.append
    finally:
        for number in (*wanted, signal.SIGTSTP):
            loop.remove_signal_handler(number)


def _exit_code(agent: int) -> int:
    """Wait for the end of the agent; while it is stopped, this process is stopped too, so that the shell takes over."""
    while True:
        _, status = os.waitpid(agent, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else SIGNAL_CODE - code
        if _in_foreground():
            os.kill(os.getpid(), signal.SIGSTOP)
            _send(agent, signal.SIGCONT)


def _in_foreground() -> bool:
    """Say whether the terminal of this process sends its keys to this process and the agent."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False  # There is no terminal.
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False  # The terminal is gone.
    finally:
        os.close(terminal)


def _send(agent: int, number: signal.Signals) -> None:
    # An agent that has ended is noticed by the thread that waits for it.
    with contextlib.suppress(ProcessLookupError):
        os.kill(agent, number)
