"""The way of one request through the forwarder: to the local door where it names our model, else to the API."""

import hmac
from dataclasses import dataclass

import anyio
import h11
from anyio.abc import TaskGroup

from mcp_local_llm.agents.forwarder import headers
from mcp_local_llm.agents.forwarder.body import RequestBody
from mcp_local_llm.agents.forwarder.connection import FAILURES, Connection
from mcp_local_llm.agents.forwarder.order import ForwarderOrder
from mcp_local_llm.agents.forwarder.refusals import EVENTS, NO_KEY, Refusal, local_failed, upstream_failed
from mcp_local_llm.agents.forwarder.server import Message, Receive, Send, Wire
from mcp_local_llm.agents.forwarder.upstream import Upstream

MESSAGES = (b"/v1/messages", b"/v1/messages/count_tokens")
"""Paths of requests that a model answers."""


@dataclass(frozen=True)
class Forwarding:
    """The ASGI application.

    Attributes:
        order: the names of our model, and the keys.
        upstream: the API.
        door: the local door.
    """

    order: ForwarderOrder
    upstream: Upstream
    door: Upstream

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; the end of its client ends the request that was made for it."""
        wire: Wire = scope["state"]["wire"]
        target = self._own_target(wire.request.target)
        if target is None:
            await _refuse(NO_KEY, send)
            return
        body = RequestBody(receive)
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                await body.read_ahead()
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            await self._answer(wire, target, body, send, tasks)
            tasks.cancel_scope.cancel()

    async def _answer(self, wire: Wire, target: bytes, body: RequestBody, send: Send, tasks: TaskGroup) -> None:
        request, came = wire.request, wire.request.headers.raw_items()
        model = await body.model() if _asks_a_model(request.method, target, came) else None
        local = model if model in self.order.models else None
        if local is None:
            upstream, sent = self.upstream, headers.to_upstream(came, self.upstream.address.name.encode())
        else:
            upstream, sent = self.door, headers.to_local(came, self.door.address.name.encode(), self.order.door_key)
        try:
            connection = await upstream.connection()
        except FAILURES as error:
            await _refuse(_failed(upstream, local, error), send)
            return
        try:
            tasks.start_soon(connection.send, upstream.request(request.method, target, sent), body)
            try:
                response = await connection.response()
            except FAILURES as error:
                await _refuse(_failed(upstream, local, error), send)
                return
            await _pass_back(connection, response, wire, send, local)
        finally:
            upstream.release(connection)

    def _own_target(self, target: bytes) -> bytes | None:
        """Return a request's target without the key before it; None where it has not the key."""
        slash, key, rest = target[:1], *_parted(target[1:])
        known = hmac.compare_digest(key, self.order.key.encode())
        return (rest if rest.startswith(b"/") else b"/" + rest) if slash == b"/" and known else None


def _parted(path: bytes) -> tuple[bytes, bytes]:
    """Part a path after its first piece."""
    end = next((place for place, mark in enumerate(path) if mark in b"/?"), len(path))
    return path[:end], path[end:]


def _asks_a_model(method: bytes, target: bytes, came: headers.RawHeaders) -> bool:
    """Say whether the body of a request can name a model that can be read."""
    plain = headers.value_of(came, b"content-encoding").strip().lower() in (b"", b"identity")
    return method == b"POST" and target.partition(b"?")[0] in MESSAGES and plain


async def _pass_back(connection: Connection, response: h11.Response, wire: Wire, send: Send, local: str | None) -> None:
    """Pass a response on as it arrives.

    Where it breaks off, so does the client's, so that half an answer passes for none; only a stream of the local door
    gets an error event, because the reader of a subagent's answer is to see why it ended.
    """
    came = response.headers.raw_items()
    wire.reason = bytes(response.reason)
    start = {"type": "http.response.start", "status": response.status_code, "headers": headers.to_client(came)}
    try:
        wire.hold = connection.is_ready()
        await send(start)
        async for part in connection.parts():
            await send({"type": "http.response.body", "body": part, "more_body": True})
    except FAILURES as error:
        if local is None or EVENTS not in headers.value_of(came, b"content-type"):
            return
        event = local_failed(local, str(error)).event
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _failed(upstream: Upstream, local: str | None, error: Exception) -> Refusal:
    reason = str(error) or type(error).__name__
    return upstream_failed(upstream.address.origin, reason) if local is None else local_failed(local, reason)


async def _refuse(refusal: Refusal, send: Send) -> None:
    await send({"type": "http.response.start", "status": refusal.status, "headers": refusal.headers})
    await send({"type": "http.response.body", "body": refusal.body})
