"""An agent's session over the chat door: what is known already is told in the usage, and is not read again."""

from benchmarks.agent_shapes import MAIN, SUBAGENT, AgentSession
from mcp_local_llm.values.chat import ChatRequest
from mcp_local_llm.wire.flavors import FLAVORS
from mcp_local_llm.wire.openai.write_request import outgoing_request
from tests.doors.http.door import Door, Json

DIVIDED = 40


def body_of(request: ChatRequest) -> Json:
    return {**outgoing_request(request, "tiny", FLAVORS["mcp-local-llm"]).body, "stream": False, "stream_options": None}


async def sent(door: Door, request: ChatRequest) -> tuple[int, int]:
    """The prompt tokens of an answer, and how many of them were read."""
    body = {**body_of(request), "reasoning_effort": "none"}
    usage = (await door.http.post("/v1/chat/completions", json=body)).json()["usage"]
    return usage["prompt_tokens"], usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]


async def test_turns_subagents_and_later_sessions_read_what_is_new_to_them(door: Door) -> None:
    main = AgentSession(MAIN.divided(DIVIDED), "project", "main")
    sub = AgentSession(SUBAGENT.divided(DIVIDED), "agent file", "sub")
    cold, read = await sent(door, main.request())
    assert read >= 0.9 * cold
    known = {"main": cold, "sub": (await sent(door, sub.request()))[0]}
    for turn in range(3):
        for name, session in (("main", main), ("sub", sub)):
            session.read(100) if turn % 2 else session.say(60)
            tokens, read = await sent(door, session.request())
            # The prompts before this one ended in a closed thought, which no later prompt holds.
            assert read <= 1.05 * (tokens - known[name]) + 8
            known[name] = tokens
    tokens, read = await sent(door, AgentSession(MAIN.divided(DIVIDED), "project", "second").request())
    assert read <= 0.6 * tokens


async def test_a_count_is_the_usage_of_the_same_request(door: Door) -> None:
    main = AgentSession(MAIN.divided(DIVIDED), "project", "counted")
    for step in (main.read, main.say, main.read):
        step(80)
        counted = (await door.app.llm.count((main.request(),), lambda progress: None, model="tiny")).tokens
        answer = (await door.http.post("/v1/chat/completions", json=body_of(main.request()))).json()
        assert counted == (answer["usage"]["prompt_tokens"],)
