"""Conversations of the shape that coding agents send, in made-up words: sizes and order are Claude Code's.

Instructions and tools stand in front and are the same for every session of a project; the user's words come before a
second system turn that describes the folder; and what the agent sends back of an answer is its own writing of it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mcp_local_llm.values.chat import ChatRequest, Message, SamplingParams, ToolCall, ToolSpec

ONSETS, VOWELS, CODAS = ("b", "ch", "d", "f", "gr", "l", "m", "pr", "s", "st", "v"), "aeiou", ("", "l", "n", "nd", "r")


@dataclass(frozen=True)
class AgentShape:
    """Characters of the parts of a first request.

    Attributes:
        system: instructions in front.
        tools: descriptions, one a tool.
        state: the system turn behind the user's words.
    """

    system: int
    tools: tuple[int, ...]
    state: int

    def divided(self, by: int) -> "AgentShape":
        """Return the same proportions for a small model, with two tools at most: their schemas do not shrink."""
        if by == 1 or not self.tools:
            return replace(self, system=self.system // by, state=self.state // by)
        return AgentShape(self.system // by, (sum(self.tools) // by // 2,) * 2, self.state // by)


MAIN = AgentShape(3_600, (6_200, 5_100, 4_000, 3_600, 3_000, 2_600, 2_400, 2_000, 1_800, 1_200, 900, 600), 9_000)
"""The first request of `claude -p`: 49 KB, 36 of them tools."""
SUBAGENT = AgentShape(3_000, (2_600, 1_200), 1_500)
"""An agent file with Read and Grep: 9 KB."""
TITLE = AgentShape(1_600, (), 0)
"""The request for a title beside the first turn: 4 KB without tools."""
INSTRUCTION = 6_500
"""Characters of the question for a summary."""


def prose(characters: int, seed: str) -> str:
    """Return made-up words; other seeds give other ones."""
    source, text = random.Random(seed), ""
    while len(text) < characters:
        syllables = range(source.randint(1, 3))
        text += "".join(source.choice(ONSETS) + source.choice(VOWELS) + source.choice(CODAS) for _ in syllables) + " "
    return text[:characters].rstrip()


def tools_of(shape: AgentShape, project: str) -> tuple[ToolSpec, ...]:
    """Return the tools of a project's sessions."""
    properties = {
        name: {"type": "string", "description": prose(40, f"{project} {name}")} for name in ("path", "pattern", "why")
    }
    parameters = {"type": "object", "properties": properties, "required": ["path"]}
    return tuple(
        ToolSpec(name=f"tool_{at}", description=prose(size, f"{project} tool {at}"), parameters=parameters)
        for at, size in enumerate(shape.tools)
    )


class AgentSession:
    """A conversation as the agent holds it: it grows by what the agent writes, whatever the model answered."""

    def __init__(self, shape: AgentShape, project: str, words: str) -> None:
        self._words = words
        self._turns = 0
        self.tools = tools_of(shape, project)
        self.messages = [
            Message(role="system", content=prose(shape.system, project)),
            Message(role="user", content=f"{words}: {prose(120, words)}"),
        ]
        if shape.state:
            self.messages.append(Message(role="system", content=prose(shape.state, f"state of {project}")))

    def request(self, tokens: int = 4) -> ChatRequest:
        """Return the next request; the answer has at most `tokens` tokens."""
        sampling = SamplingParams(max_tokens=tokens, temperature=0.0, repetition_limit=0)
        return ChatRequest(tuple(self.messages), tools=self.tools, sampling=sampling, client=self._words)

    def read(self, characters: int = 600) -> None:
        """Go on with a call of a tool and its result."""
        self._turns += 1
        id, seed = f"toolu_{self._turns:024}", f"{self._words} {self._turns}"
        call = ToolCall(name=self.tools[0].name, arguments={"path": f"/src/{seed}.py", "why": prose(30, seed)}, id=id)
        self.messages += [
            Message(role="assistant", content=prose(60, f"{seed} before"), tool_calls=[call]),
            Message(role="tool", content=prose(characters, f"{seed} result"), tool_call_id=id),
        ]

    def say(self, characters: int = 200) -> None:
        """Go on with an answer and the user's next words."""
        self._turns += 1
        seed = f"{self._words} {self._turns}"
        self.messages += [
            Message(role="assistant", content=prose(characters, f"{seed} answer")),
            Message(role="user", content=prose(120, f"{seed} words")),
        ]

    def compaction(self, tokens: int = 4, characters: int = INSTRUCTION) -> ChatRequest:
        """Return the request for a summary: the conversation so far, and an instruction behind it."""
        request = self.request(tokens)
        asked = Message(role="user", content=prose(characters, "sum it up"))
        return replace(request, messages=(*request.messages, asked))

    def compacted(self, characters: int = 2_000) -> None:
        """Go on from a summary: the system part stays, the rest is replaced by two user turns."""
        head: Sequence[Message] = self.messages[:1]
        summary = Message(role="user", content=prose(characters, f"{self._words} summary"))
        self.messages = [*head, summary, Message(role="user", content="Go on.")]
