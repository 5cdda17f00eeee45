"""A project on disk, and a scripted server in the model's place, which records what it was sent."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mcp_local_llm.delegation.delegation import Delegation
from mcp_local_llm.delegation.task import DraftOrder, FileAnswer, FileTask
from mcp_local_llm.values.progress import Progress
from tests.apps import opened
from tests.engines.http.fake_server import Exchange, FakeServer, counts, delta, fake_server

Answer = Callable[[str], str]
"""Says what the model answers to the text of a request."""


class Refused(Exception):
    """What a scripted model raises instead of an answer: the server refuses the request."""

    status, kind = 429, "rate_limit"


class Overflow(Refused):
    """The prompt does not fit into the server's window."""

    status, kind = 400, "exceed_context_size_error"


class Silent(Exception):
    """The server never answers."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.py").write_text("def f(x):\n    return x\n")
    (folder / "b.log").write_text("1 INFO ready\n2 ERROR disk full\n")
    (folder / ".env").write_text("TOKEN=planted-secret\n")
    return folder


@dataclass
class Desk:
    """Delegated work with a scripted model, and what came of it."""

    delegation: Delegation
    server: FakeServer
    project: Path
    seen: list[Progress] = field(default_factory=list[Progress])

    async def chat(self, message: str, files: object, **more: object) -> FileAnswer:
        return await self.delegation.chat(FileTask(files, message, **more), self.seen.append)  # type: ignore[arg-type]

    async def draft(self, path: str, message: str = "", files: object = None, **more: object) -> FileAnswer:
        order = {name: bool(more.pop(name, False)) for name in ("overwrite", "restore")}
        task = None if order["restore"] else FileTask(files, message, **more)  # type: ignore[arg-type]
        return await self.delegation.draft(DraftOrder(path, task, **order), self.seen.append)

    @property
    def prompts(self) -> list[str]:
        """The text of every request that the model got."""
        chats = [one.body for one in self.server.received if one.method == "POST"]
        return ["\n".join(str(turn["content"]) for turn in chat["messages"]) for chat in chats]


def failing_about_the_log(words: str) -> tuple[list[bool], Answer]:
    """A script whose server fails for the file with "disk full" while the switch that comes with it is true."""
    broken = [True]

    def answer(text: str) -> str:
        if "disk full" in text and broken[0]:
            raise ConnectionError
        return words

    return broken, answer


@asynccontextmanager
async def desk_of(
    environ: dict[str, str], project: Path, answer: Answer, settings: str = "", window: int | None = None
) -> AsyncGenerator[Desk]:
    """A session whose only model is scripted."""

    async def script(exchange: Exchange) -> None:
        turns = exchange.received.body["messages"]
        try:
            text = answer("\n".join(str(turn["content"]) for turn in turns))
        except Refused as refused:
            await exchange.json(refused.status, {"error": {"message": "too much", "type": refused.kind}})
            return
        except Silent:
            await exchange.gone()
            return
        reason = "length" if text.endswith("[cut]") else "stop"
        await exchange.stream(delta(content=text), delta(finish=reason), counts(50, 5))

    async with fake_server(script, window=window) as server:
        home = Path(environ["HOME"])
        path = home / ".config/mcp-local-llm/config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        named = 'models = ["m"]\n' if window is None else ""  # Only a server's own list tells a window.
        endpoint = f'[[endpoints]]\nname = "box"\nurl = "{server.url}"\n{named}'
        path.write_text(f'model = "{"box/m" if window is None else "m"}"\n{settings}\n{endpoint}')
        async with opened({**environ, "CLAUDE_PROJECT_DIR": str(project)}, home) as app:
            yield Desk(app.delegation, server, project)
