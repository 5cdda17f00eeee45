"""What loading costs, and what unloading gives back."""

import asyncio
import importlib
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import psutil

from benchmarks.discovered import model_in
from benchmarks.figures import Row, Series, compare
from benchmarks.subjects import Subject, ask, user
from mcp_local_llm.engines.mlx import MlxLoader
from mcp_local_llm.values.model import ModelInfo


async def loading(subject: Subject, scratch: Path) -> list[Row]:
    """Seconds of a load, and the memory of the process before it and after an unload."""
    seconds = Series()
    load: Any = importlib.import_module("mlx_lm.utils").load  # untyped
    backend = MlxLoader()
    try:
        for number in range(-1, subject.sizes.streams):
            started = time.perf_counter()
            engine = await backend.load(subject.info, lambda progress: None)
            own = time.perf_counter() - started
            await engine.unload()
            started = time.perf_counter()
            load(str(subject.info.path))
            other = time.perf_counter() - started
            mx.clear_cache()
            seconds.add(number, ours=1000 * own, bare=1000 * other)
    finally:
        backend.close()
        backend.join(60)
    # A process of its own: what bare mlx-lm left behind in this one would be counted.
    command = [sys.executable, "-m", "benchmarks.loading", str(subject.info.path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout
    before, after = (int(number) / 2**20 for number in out.split())
    name = subject.name
    return [
        compare("load / bare `mlx_lm.load`", name, seconds["ours"], seconds["bare"], "ms", most=1.05),
        Row("memory after unload / before the load", name, after, before, "MiB", after / before, most=1.10),
    ]


async def _memory(folder: Path) -> tuple[int, int]:
    """Return the resident set before a load (nothing is loaded, all code is) and after answers and an unload."""
    model = model_in(folder)
    backend = MlxLoader()
    process = psutil.Process()
    try:
        # A first load, answer and unload, so that code, tokenizer tables and thread stacks are counted on both sides.
        await _use(backend, model, [("Hello", 1)])
        before = process.memory_info().rss
        await _use(backend, model, [(f"Hello {number}. " * 50, 32) for number in range(3)])
        return before, process.memory_info().rss
    finally:
        backend.close()
        backend.join(60)


async def _use(loader: MlxLoader, model: ModelInfo, questions: Sequence[tuple[str, int]]) -> None:
    """Load, answer with so many tokens each, unload, and drop the engine, which knows the tokenizer."""
    engine = await loader.load(model, lambda progress: None)
    for question, tokens in questions:
        await ask(engine, user(question), tokens)
    await engine.unload()


if __name__ == "__main__":
    print(*asyncio.run(_memory(Path(sys.argv[1]))))
