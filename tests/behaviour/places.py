"""The places where a model is asked: in this process, attached to another, over each API of our own HTTP door, and at a
server of somebody else. The last is scripted, the others reach one reciting model; all of them know the same table.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from mcp_local_llm.app import App
from mcp_local_llm.doors.http import AccessGuard, InFlightAnswers, access_rules, bind_tcp, build_api, serving
from mcp_local_llm.engines.http import EndpointLoader
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, ChatResult, Timings
from mcp_local_llm.values.endpoint import Endpoint, FlavorName
from mcp_local_llm.values.engine import Engine
from mcp_local_llm.values.model import endpoint_model
from mcp_local_llm.values.progress import Progress, ReportProgress
from tests.apps import opened
from tests.behaviour.cases import CASES, ENDLESS, SCRIPTS, Case
from tests.behaviour.over_messages import ask_over_messages
from tests.behaviour.over_responses import ask_over_responses
from tests.behaviour.reciting_model import WINDOW, cut, prompt_tokens, write_reciting_model
from tests.clients import private_environ
from tests.engines.http.fake_server import Exchange, call_piece, counts, delta, fake_server

MODEL = "reciting"
OVER_HTTP = ("over HTTP", "messages over HTTP", "responses over HTTP")
OWN = ("in-process", "attached", *OVER_HTTP)
PINGED: dict[str, Progress] = dict.fromkeys(("messages over HTTP", "responses over HTTP"), Progress("prefill"))
"""What a place whose API has no place for progress tells of every wait."""
ALL = (*OWN, "at a server of somebody else")

Ask = Callable[[ChatRequest, ReportProgress], AsyncGenerator[ChatChunk]]


@dataclass(frozen=True)
class Place:
    """Where a model is asked.

    Attributes:
        ask: answers a request; progress is reported, too.
        running: counts the answers under way, those in line included, where the model is.
        finished: counts the answers that were made to their end there.
    """

    ask: Ask
    running: Callable[[], Awaitable[int]]
    finished: Callable[[], Awaitable[int]]


@dataclass(frozen=True)
class World:
    """All places by name.

    Attributes:
        holder, other: the application that holds the model, and one that is attached to it.
        foreign: the server of somebody else.
    """

    places: dict[str, Place]
    holder: App
    other: App
    foreign: "ForeignServer"
    _at_home: dict[str, ChatResult] = field(default_factory=dict[str, ChatResult])

    async def at_home(self, name: str, request: ChatRequest) -> ChatResult:
        """What the first of our own places answers; each name is asked for once."""
        if name not in self._at_home:
            self._at_home[name] = await answer(self.places[OWN[0]], request)
        return self._at_home[name]


class ForeignServer:
    """What a scripted server does with the table's questions, and how many answers it is at."""

    def __init__(self) -> None:
        self.running = 0
        self.finished = 0
        self.ready = asyncio.Event()
        """Its model may speak; until then nothing is sent, not even a status."""
        self.ready.set()

    async def serve(self, exchange: Exchange) -> None:
        """Answer one question; a client that goes ends it."""
        self.running += 1
        work, gone = asyncio.create_task(self._answer(exchange)), asyncio.create_task(exchange.gone())
        try:
            await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.running -= 1
            self.finished += work.done() and work.exception() is None
            for task in (work, gone):
                task.cancel()
            await asyncio.wait([work, gone])

    async def _answer(self, exchange: Exchange) -> None:
        await self.ready.wait()
        name = exchange.received.body["messages"][-1]["content"]
        if name == ENDLESS:
            await exchange.head()
            while True:
                for piece in SCRIPTS[ENDLESS].pieces:
                    await exchange.event(delta(content=piece))
                await asyncio.sleep(0)
        if name in CASES:
            await exchange.stream(*_events(CASES[name]))
            return
        # Any other words are a prompt, to be counted as our own model does.
        words = f"request ({prompt_tokens(name)} tokens) exceeds the available context size ({WINDOW} tokens)"
        await exchange.json(400, {"error": {"message": words, "type": "exceed_context_size_error"}})


@asynccontextmanager
async def open_world(home: Path, model: str = MODEL) -> AsyncGenerator[World]:
    """Open every place; calls are decoded one at a time, so that one which is not over keeps the next one out.

    Args:
        home: a folder of its own.
        model: what answers in the places of this program.
    """
    folder = write_reciting_model(home / "models" / MODEL, SCRIPTS)
    environ = {
        **private_environ(home),
        "MCP_LOCAL_LLM_FOLDERS": str(folder),
        "MCP_LOCAL_LLM_MODEL": model,
        "MCP_LOCAL_LLM_BATCH_SIZE": "1",
        "MCP_LOCAL_LLM_MAX_GENERATION_TOKENS": str(WINDOW),
        # Not every API has a field for it.
        "MCP_LOCAL_LLM_REPETITION_LIMIT": "0",
    }
    foreign, listener = ForeignServer(), bind_tcp("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

    async def running() -> int:
        # The holder's word, as it gives it to others.
        told = await other.llm.status()
        assert told.holder_pid == os.getpid()
        return told.calls_running + told.waiting

    async def running_elsewhere() -> int:
        await asyncio.sleep(0)
        return foreign.running

    async def finished() -> int:
        return (await holder.llm.status()).calls_answered

    async def finished_elsewhere() -> int:
        return foreign.finished

    async with opened(environ, home) as holder, opened(environ, home) as other:
        api = AccessGuard(build_api(holder.llm, InFlightAnswers()), access_rules("127.0.0.1", None))
        async with serving(api, listener), fake_server(foreign.serve) as server:
            # The one that is asked first holds the model.
            await holder.llm.preload(ignore)
            asks = {
                "in-process": holder.llm.chat,
                "attached": other.llm.chat,
                "over HTTP": _asking(await _engine(url, model, "mcp-local-llm")),
                "messages over HTTP": partial(ask_over_messages, url, model),
                "responses over HTTP": partial(ask_over_responses, url, model),
            }
            places = {name: Place(ask, running, finished) for name, ask in asks.items()}
            theirs = _asking(await _engine(server.url, "m", "auto"))
            places[ALL[-1]] = Place(theirs, running_elsewhere, finished_elsewhere)
            yield World(places, holder, other, foreign)


def ignore(progress: Progress) -> None:
    """Take progress that a test does not look at."""


async def answer(place: Place, request: ChatRequest, report: ReportProgress = ignore) -> ChatResult:
    """The result of an answer."""
    async with aclosing(place.ask(request, report)) as chunks:
        (result,) = [chunk.result async for chunk in chunks if chunk.result is not None]
    return result


def compared(result: ChatResult) -> ChatResult:
    """What must be equal: all but measurements, made-up ids, the endpoint before the model, and what a cache knew."""
    calls = tuple(call.model_copy(update={"id": None}) for call in result.tool_calls)
    usage = replace(result.usage, cached_tokens=0)
    return replace(result, tool_calls=calls, usage=usage, timings=Timings(), model=result.model.removeprefix("box/"))


async def _engine(url: str, model: str, flavor: FlavorName) -> Engine:
    return await EndpointLoader({}).load(endpoint_model(Endpoint(name="box", url=url, flavor=flavor), model), ignore)


def _asking(engine: Engine) -> Ask:
    async def ask(request: ChatRequest, report: ReportProgress) -> AsyncGenerator[ChatChunk]:
        async with aclosing(engine.stream(request)) as chunks:
            async for chunk in chunks:
                if chunk.progress is not None:
                    report(chunk.progress)
                yield chunk

    return ask


def _events(case: Case) -> list[object]:
    """The stream of a server that tells the case."""
    sent = case.parts
    content, reasoning, calls = (case.raw, "", ()) if sent is None else (sent.content, sent.reasoning, sent.calls)
    events: list[object] = [delta(reasoning_content=piece) for piece in cut(reasoning)]
    events += [delta(content=piece) for piece in cut(content)]
    for number, call in enumerate(calls):
        events.append(delta(tool_calls=[call_piece(number, name=call.name, ident=f"c{number}")]))
        events += [delta(tool_calls=[call_piece(number, arguments=part)]) for part in cut('{"city": "Paris"}')]
    reason = "length" if case.finish_reason == "length" else "tool_calls" if calls else "stop"
    return [*events, delta(finish=reason), counts(prompt=20, completion=len(events))]
