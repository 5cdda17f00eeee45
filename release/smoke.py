"""A program that uses the installed package as others would; `make wheel` checks its types and runs it.

It starts the installed server over stdio, lets the built-in model answer, and reads what the package carries as data.
"""

import os
import sys
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters

import mcp_local_llm
from mcp_local_llm.bench.task_set import CODE, KINDS, BenchTask, tasks_of
from mcp_local_llm.setup.places import prompt_names, read_prompt
from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams

QUESTION = "How many legs do two cats and a bird have?"
TOOLS = ("chat", "set_model", "quick_test", "list_models", "status", "draft")
SECONDS = 120.0


async def ask_the_server(home: Path) -> str:
    """Return the answer of the built-in model, through the installed command."""
    command = Path(sys.executable).with_name("mcp-local-llm")
    environ = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), "PATH": os.environ["PATH"]}
    server = StdioServerParameters(command=str(command), env=environ, cwd=str(home))
    async with Client(server, read_timeout_seconds=SECONDS) as client:
        names = tuple(tool.name for tool in (await client.list_tools()).tools)
        if names != TOOLS:
            raise SystemExit(f"the server has other tools: {names}")
        result = await client.call_tool("chat", {"message": QUESTION, "model": "tiny", "thinking": False})
    if result.is_error:
        raise SystemExit(f"the server did not answer: {result.content}")
    return " ".join(block.text for block in result.content if block.type == "text")


def first_tasks() -> list[BenchTask]:
    """Return one task of each kind that `bench --tasks` asks."""
    return [tasks_of(kind)[0] for kind in (*KINDS, CODE)]


def request() -> ChatRequest:
    """Return a request as the package's own values write it."""
    message = Message(role="user", content=QUESTION)
    return ChatRequest((message,), sampling=SamplingParams(max_tokens=20, temperature=0.0))


def main() -> None:
    """Do all of it, in the home folder that the command line names."""
    answer = anyio.run(ask_the_server, Path(sys.argv[1]))
    texts = [read_prompt(name, folder) for folder in ("", "tasks", "agents") for name in prompt_names(folder)]
    if not Path(mcp_local_llm.__file__).is_relative_to(sys.prefix):
        raise SystemExit(f"the package was not found in the environment but in {mcp_local_llm.__file__}")
    print(f"mcp-local-llm {mcp_local_llm.__version__} on Python {sys.version.split()[0]}: {answer}")
    print(f"{len(texts)} prompts, {len(first_tasks())} kinds of tasks, {len(request().messages)} message")


if __name__ == "__main__":
    main()
