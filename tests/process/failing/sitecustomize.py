"""Put before a server's path: one forward pass of a batch then fails as a device fails, and loads are counted."""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from itertools import count
from types import ModuleType
from typing import Any

CALLS = 3
"""Rows of the forward pass that fails: so many calls are decoded together then."""
PASS = 5
"""Which of the passes with so many rows fails: all calls have drawn tokens by then."""


def count_loads(module: ModuleType) -> None:
    """Tell every load of a model on stderr."""
    load: Callable[..., Any] = vars(module)["load_model"]

    def counted(*arguments: Any, **options: Any) -> Any:
        sys.stderr.write("loading a model\n")
        return load(*arguments, **options)

    vars(module)["load_model"] = counted


def fail_once(module: ModuleType) -> None:
    """Fail in one forward pass, in the middle of a batch."""
    model: Any = vars(module)["Model"]
    forward = model.__call__
    passes = count(1)

    def failing(self: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
        if inputs.shape[0] == CALLS and next(passes) == PASS:
            raise RuntimeError("[METAL] Command buffer execution failed: Insufficient Memory.")
        return forward(self, inputs, *arguments, **options)

    model.__call__ = failing


CHANGES = {"mlx_lm.utils": count_loads, "mlx_lm.models.qwen3": fail_once}


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in CHANGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def changed(module: ModuleType) -> None:
                execute(module)
                CHANGES[fullname](module)

            vars(spec.loader)["exec_module"] = changed
        return spec


sys.meta_path.insert(0, _Finder())
