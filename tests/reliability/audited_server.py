"""The stdio server, with every step of Python's that runs code written to a file, which is its argument.

Python tells an audit hook of each import, compiled text, unpickled class, loaded library and started program.
"""

import os
import runpy
import sys
from typing import Any

TOLD = ("import", "compile", "exec", "pickle.find_class", "ctypes.dlopen", "subprocess.Popen", "os.system", "os.exec")


def listen(path: str) -> None:
    """Write each of these events on a line of its own: its name, and what names its code."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in TOLD:
            told = arguments[1:2] if event in ("import", "compile") else arguments
            named = [getattr(one, "co_filename", one) for one in told]
            os.write(file, f"{event} {named!r}\n".encode("utf-8", "replace"))

    sys.addaudithook(hook)


if __name__ == "__main__":
    listen(sys.argv[1])
    sys.argv = ["mcp-local-llm"]
    runpy.run_module("mcp_local_llm", run_name="__main__")
