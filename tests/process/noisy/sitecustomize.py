"""Put before a server's path: mlx-lm then prints, in every way there is, when it is imported, loads and generates."""

import importlib.abc
import importlib.machinery
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import count
from types import ModuleType
from typing import Any, cast

NOISY = {"mlx_lm.utils": "load_model", "mlx_lm.models.qwen3": "Model.__call__"}
"""Module → what in it is called at load, and for every step of a generation."""
SHOUTS = 3
"""Calls that are noisy; a child process for every token would take too long."""


def shout(words: str) -> None:
    """Write to stdout through Python, past Python, and from a child."""
    sys.stdout.write(f"{words} through Python\n")
    sys.stdout.flush()
    os.write(1, f"{words} past Python\n".encode())
    subprocess.run(["/bin/echo", f"{words} from a child"], check=True)


class _NoisyLoader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, name: str) -> None:
        self._loader = loader
        self._name = name

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        shout(f"importing {self._name}")
        self._loader.exec_module(module)
        called = NOISY[self._name]
        *owners, attribute = called.split(".")
        owner = reduce(getattr, owners, module)
        original = cast(Callable[..., Any], getattr(owner, attribute))
        calls = count()

        def noisy(*arguments: Any, **options: Any) -> Any:
            if next(calls) < SHOUTS:
                shout(f"calling {called}")
            return original(*arguments, **options)

        setattr(owner, attribute, noisy)


class _NoisyFinder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in NOISY:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _NoisyLoader(spec.loader, fullname)
        return spec


sys.meta_path.insert(0, _NoisyFinder())
