"""Put before a server's path: a step of the model does not return while the file that `HANG_WHILE` names exists."""

import importlib.abc
import importlib.machinery
import os
import sys
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any

BATCH = "mcp_local_llm.engines.mlx.batch.batch"


def hang(module: ModuleType) -> None:
    """Let each step wait for the file to go."""
    batch: Any = vars(module)["Batch"]
    sound = batch.step

    def step(self: Any) -> None:
        while os.path.exists(os.environ["HANG_WHILE"]):
            time.sleep(0.01)
        sound(self)

    batch.step = step


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != BATCH:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def changed(module: ModuleType) -> None:
                execute(module)
                hang(module)

            vars(spec.loader)["exec_module"] = changed
        return spec


sys.meta_path.insert(0, _Finder())
