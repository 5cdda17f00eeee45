"""A program in an agent's place: it writes down how it was started and does what each line of its input says."""

import json
import os
import signal
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH)


def main() -> None:
    """Obey: ask, stop, exit CODE."""
    files = {word: Path(word).read_text() for word in sys.argv[1:] if word.startswith("/") and Path(word).is_file()}
    record = {"environ": dict(os.environ), "arguments": sys.argv[1:], "files": files, "terminal": sys.stdin.isatty()}
    Path(os.environ["HOME"], "record.json").write_text(json.dumps(record))
    # Waited for by a thread: a handler would run only after the next line, if its signal came as the reading began.
    signal.pthread_sigmask(signal.SIG_BLOCK, CAUGHT)
    threading.Thread(target=say_signals, daemon=True).start()
    say("ready")
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "ask":
            say(f"with the key {ask(key())}, without {ask('')}")
        elif word == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
            say("continued")
        elif word == "exit":
            sys.exit(int(rest))


def say_signals() -> None:
    """Say which signals come; SIGTERM ends the program too."""
    while True:
        number = signal.Signals(signal.sigwait(CAUGHT))
        say(f"got {number.name}")
        if number == signal.SIGTERM:
            os._exit(9)


def say(words: str) -> None:
    """Write a line that the terminal's echo cannot be mistaken for."""
    os.write(1, f"agent: {words}\n".encode())


def key() -> str:
    """The key that the environment holds."""
    return os.environ.get("ANTHROPIC_AUTH_TOKEN") or os.environ["MCP_LOCAL_LLM_AGENT_KEY"]


def ask(bearer: str) -> int:
    """Ask the door for its models; return the status."""
    request = urllib.request.Request(f"{os.environ['ANTHROPIC_BASE_URL']}/v1/models")
    if bearer:
        request.add_header("Authorization", f"Bearer {bearer}")
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


if __name__ == "__main__":
    main()
