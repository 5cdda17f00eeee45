"""In a server whose PYTHONPATH names this folder, the system has no room for the MLX thread when it first starts."""

import threading
from typing import Any

_sound: Any = threading.Thread.start
_left = [1]


def _start(thread: threading.Thread) -> None:
    if thread.name == "mlx" and _left:
        _left.clear()
        raise RuntimeError("can't start new thread")
    _sound(thread)


threading.Thread.start = _start
