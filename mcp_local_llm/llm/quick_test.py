"""The scripted questions of `quick_test`, and the functions that judge the answers. Pure functions.

The questions are easy on purpose: they test whether the model, its chat template and the parser work together. Small
models answer and do not follow each instruction, so that is told apart.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from mcp_local_llm.values.chat import ChatRequest, ChatResult, Message, SamplingParams, ToolSpec
from mcp_local_llm.values.results import QuickTest, QuickTestName, rate_of

MAX_TOKENS = 2048
"""Enough tokens for a model that reasons before it answers."""

TOOL_TOKENS = 512
"""The same before a tool call: a small model that does not make it goes on writing."""

WEATHER = ToolSpec(
    name="get_weather",
    description="Get the current weather for a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
PERSON = (
    '{"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, '
    '"required": ["name", "age"]}'
)

Judge = Callable[[ChatResult], tuple[bool, str]]
"""Takes an answer; returns whether it passes, and why."""


@dataclass(frozen=True)
class Question:
    """One test: the question, and the judge of the answer."""

    prompt: str
    judge: Judge
    system: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    thinking: bool | None = False
    max_tokens: int = MAX_TOKENS

    def request(self) -> ChatRequest:
        """Make the request, with greedy decoding for the same answer each time."""
        messages = [Message(role="system", content=self.system)] if self.system else []
        return ChatRequest(
            messages=(*messages, Message(role="user", content=self.prompt)),
            tools=self.tools,
            sampling=SamplingParams(self.max_tokens, temperature=0.0),
            thinking=self.thinking,
        )

    def judged(self, name: QuickTestName, result: ChatResult, seconds: float) -> QuickTest:
        """Return the result of the test `name`; `seconds` include a load of the model."""
        answered = bool(result.text.strip() or result.tool_calls)
        passed, verdict = self.judge(result) if answered else (False, "There is no answer.")
        return QuickTest(
            test=name,
            answered=answered,
            passed=passed,
            verdict=f"{verdict}{_end(result)}",
            model=result.model,
            prompt=self.prompt,
            answer=result.text,
            tool_calls=[f"{call.name}({call.arguments})" for call in result.tool_calls],
            reasoning_tokens=result.usage.reasoning_tokens,
            completion_tokens=result.usage.completion_tokens,
            seconds=seconds,
            tokens_per_second=rate_of(result),
        )


def _end(result: ChatResult) -> str:
    """Return a sentence about an answer that did not end by itself; else an empty text."""
    tokens = result.usage.completion_tokens
    if result.looped:
        return f" It only repeated itself, and was ended after {tokens} tokens."
    if result.finish_reason != "length":
        return ""
    what = "It" if result.thinking_closed else "The reasoning"
    return f" {what} was cut off after {tokens} tokens."


def question(name: QuickTestName) -> Question:
    """Return the test of this name."""
    match name:
        case "hello":
            return Question("Reply with exactly OK", _says_ok)
        case "math":
            return Question("What is 17 + 25?", _contains("42"))
        case "creative":
            return Question("Write a haiku about a river.", _has_lines)
        case "code_review":
            return Question("Review this code:\ndef div(a, b):\n    return a / b", _contains("0", "zero"))
        case "tools":
            return Question("What is the weather in Paris?", _calls_weather, tools=(WEATHER,), max_tokens=TOOL_TOKENS)
        case "thinking":
            return Question("How many legs do two cats and a bird have?", _thinks, thinking=True)
        case "json":
            system = f"Answer only with JSON that matches this schema: {PERSON}"
            return Question("Ada Lovelace was 36 years old.", _is_person, system=system)


def _says_ok(result: ChatResult) -> tuple[bool, str]:
    exact = result.text.strip().strip(".\"'*").upper() == "OK"
    return exact, "The answer is OK." if exact else "The answer should be OK and nothing else."


def _contains(*wanted: str) -> Judge:
    def judge(result: ChatResult) -> tuple[bool, str]:
        found = next((word for word in wanted if word in result.text.lower()), None)
        expected = " or ".join(wanted)
        return found is not None, f"The answer names {found}." if found else f"The answer should name {expected}."

    return judge


def _has_lines(result: ChatResult) -> tuple[bool, str]:
    lines = [line for line in result.text.splitlines() if line.strip()]
    return len(lines) >= 3, f"The answer has {len(lines)} lines; a haiku has 3."


def _calls_weather(result: ChatResult) -> tuple[bool, str]:
    for call in result.tool_calls:
        if call.name == WEATHER.name and "paris" in str(call.arguments.get("city", "")).lower():
            return True, "The call was parsed."
    return False, "There should be a call of get_weather with the city Paris."


def _thinks(result: ChatResult) -> tuple[bool, str]:
    if "10" not in result.text:
        return False, "The answer should be 10."
    if not result.reasoning:
        return False, "The answer is right, but the model wrote no reasoning: it has no thinking mode."
    return True, "The answer is right and holds none of the reasoning."


def _is_person(result: ChatResult) -> tuple[bool, str]:
    text = result.text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        value: object = json.loads(text)
    except ValueError:
        return False, "The answer should be JSON and nothing else."
    right = value == {"name": "Ada Lovelace", "age": 36}
    return right, "The answer is the JSON that was asked for." if right else "The JSON should hold the name and age 36."
