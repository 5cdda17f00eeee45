"""In a server whose PYTHONPATH names this folder, the system has no room for the MLX thread when it first starts."""

import threading
from typing import Any

_sound: Any = threading.Thread.start
_left = [1]


def _start(self: threading.Thread) -> None:
    if self.name == "mlx" and _left:
        _left.clear()
        raise RuntimeError("can't start new thread")
    _sound(self)


threading.Thread.start = _start
