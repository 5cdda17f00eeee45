"""Writes down what a server does that no model may make it do: run, import, unpickle, or open code and pickles."""

import os
import sys
from typing import Any

MODELS, LOG = os.environ["WATCHED_MODELS"], os.environ["WATCHED_LOG"]
NEVER_OPENED = (".bin", ".npz", ".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".py", ".pyc", ".so")
PROGRAMS = frozenset(
    {"os.system", "os.exec", "os.posix_spawn", "os.fork", "os.startfile", "subprocess.Popen", "pty.spawn"}
)
NETWORK = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname"})


def told(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return what to write down of an event of the interpreter; None for nothing."""
    if event == "open" and isinstance(arguments[0], str | bytes):
        path = os.path.realpath(os.fsdecode(arguments[0]))
        return f"open {path}" if path.startswith(MODELS) and path.endswith(NEVER_OPENED) else None
    if event == "import":
        return f"import {arguments[:2]}" if MODELS in str(arguments[1]) else None
    if event == "exec":
        return f"exec {arguments[0].co_filename}" if MODELS in arguments[0].co_filename else None
    if event == "pickle.find_class":
        return f"unpickle {arguments}"
    if event in NETWORK and isinstance(arguments[-1], str) and arguments[-1].endswith(".sock"):
        return None
    return f"{event} {arguments[:2]}" if event in PROGRAMS | NETWORK else None


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Take an event of the interpreter."""
    line = told(event, arguments)
    if line is not None:
        handle = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, f"{line}\n".encode())
        os.close(handle)


sys.addaudithook(watch)
