"""An agent at a real server over stdio whose model is scripted, with everything recorded that left the server."""

import re
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.clients import private_environ
from tests.engines.http.fake_server import Exchange, FakeServer, counts, delta, fake_server
from tests.files.reading.project import PLANTED, Project, new_project
from tests.wire import Json, Wire, open_wire

FENCED = re.compile(r"<file-(\w+) (\{.*\})>\n(.*?)</file-\1>", re.DOTALL)
"""A file in a prompt: its tag, what is told about it, its text."""

ERROR_ROW = re.compile(r"ERROR ([a-z_-]+): ")


@dataclass
class Agent:
    """One server process.

    Attributes:
        answer: what the model says to the text of a request.
        results: of all calls, in their order.
    """

    wire: Wire
    server: FakeServer
    folder: Path
    answer: Callable[[str], str] = lambda prompt: "read"
    results: list[Json] = field(default_factory=list[Json])

    @property
    def project(self) -> Project:
        return Project(self.folder / "work" / "project", self.folder / "home")

    @property
    def prompts(self) -> list[str]:
        """The text of every request that the model got."""
        chats = [one.body["messages"] for one in self.server.received if one.method == "POST"]
        return ["\n".join(str(turn["content"]) for turn in turns) for turns in chats]

    def renewed(self) -> Project:
        """The project as it is made, without anything that a test put there."""
        shutil.rmtree(self.folder / "work", ignore_errors=True)
        return new_project(self.folder)

    async def call(self, tool: str, **arguments: Any) -> Json:
        """The result of a tool; the server must know its arguments."""
        answer = await self.wire.answer(await self.wire.call(tool, **arguments))
        self.results.append(answer["result"])
        return answer["result"]

    async def outcome(self, files: object, **more: Any) -> str:
        """What the model read of these files, or the kind of the refusal after `!`; rows and one answer must agree."""
        before = len(self.prompts)
        rows = await self.call("chat", message="Look.", files=files, each_file=True, **more)
        seen = [match[3] for prompt in self.prompts[before:] for match in FENCED.finditer(prompt)]
        kinds = ERROR_ROW.findall("\n".join(texts(rows)))
        if rows.get("isError") and not kinds:
            return f"!! {texts(rows)[0]}"
        before = len(self.prompts)
        whole = await self.call("chat", message="Look.", files=files, **more)
        assert bool(whole.get("isError")) == bool(kinds), (files, texts(rows), texts(whole))
        if kinds:
            assert len(self.prompts) == before, "a model was asked although a file was refused"
            return f"!{kinds[0]}"
        return "".join(seen)

    def require_no_leak(self) -> None:
        """Look for planted secrets in everything that left the server, and in what it keeps."""
        assert PLANTED not in "\n".join(self.wire.lines), "in an answer, its _meta or progress"
        assert PLANTED not in self.wire.errors(), "on stderr"
        assert PLANTED not in "\n".join(map(str, self.server.received)), "in what the model was sent"
        kept = [path for path in (self.folder / "home" / ".local").rglob("*") if path.is_file()]
        assert [path for path in kept if PLANTED.encode() in path.read_bytes()] == [], "in the state folder"


def texts(result: Json) -> list[str]:
    """The text blocks of a result."""
    return [block["text"] for block in result["content"] if block["type"] == "text"]


@asynccontextmanager
async def agent_in(folder: Path, environ: dict[str, str] | None = None) -> AsyncGenerator[Agent]:
    """Open a server for a new project in `folder`; `environ` is added to its environment."""

    async def script(exchange: Exchange) -> None:
        turns = exchange.received.body["messages"]
        text = agent.answer("\n".join(str(turn["content"]) for turn in turns))
        await exchange.stream(delta(content=text), delta(finish="stop"), counts())

    project = new_project(folder)
    async with fake_server(script) as server:
        settings = project.home / ".config" / "mcp-local-llm" / "config.toml"
        settings.parent.mkdir(parents=True)
        endpoint = f'[[endpoints]]\nname = "box"\nurl = "{server.url}"\nmodels = ["m"]\nfiles = true\n'
        settings.write_text(f'model = "box/m"\n{endpoint}')
        private = private_environ(project.home) | {"CLAUDE_PROJECT_DIR": str(project.folder)}
        async with open_wire(private | (environ or {})) as wire:
            agent = Agent(wire, server, folder)
            yield agent
