"""Measure that parsing is linear in the length of the text: `python -m benchmarks.parsing_linear`.

Prints seconds per size for texts that would make a careless parser quadratic, and time(1 MB) / time(128 kB), which
is about 8 where the parser is linear. Exits with 1 if any ratio is above 24.
"""

import sys
import time
from typing import Any

from mcp_local_llm.parsing import OutputStream, parse

SIZES = (64_000, 128_000, 256_000, 512_000, 1_024_000)
MAX_RATIO = 24.0
# Below this the clock and the allocator decide the ratio, not the parser.
LEAST_SECONDS = 0.002

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}}}
]

UNITS = {
    "prose": "The quick brown fox jumps over the lazy dog.\n",
    "open think": "<think>\n",
    "think closers": "a</think>",
    "closed blocks": "<think>a</think>b\n",
    "fence in every block": "<think>\n```x\n</think>\n",
    "fence and plain fence": "<think>\n````x\n</think>\n```\n",
    "quoted closers": "<think>`</think>` ` </think>",
    "backticks": "` `` ``` ",
    "fences": "```\n~~~\n",
    "angle brackets": "<",
    "square brackets": "[",
    "braces": "{",
    "tool_call openers": "<tool_call>",
    "tool_call and brace": "<tool_call>{",
    "open string": '<tool_call>{"a": "',
    "quoted open string": '`<tool_call>{"a": "\n',
    "open comment": "<tool_call>{/*</tool_call>",
    "failing calls": '<tool_call>{"name": 1 2}</tool_call>\n',
    "many calls": '<tool_call>{"name": "f", "arguments": {"a": "x"}}</tool_call>\n',
    "calls in a block": '<tool_call>{"name": "f", "arguments": {"a": "x"}}</tool_call>\n',
    "function openers": "<function=f>\n",
    "parameter openers": "<function=f>\n<parameter=a>\n",
    "parameter closers": "<function=f>\n<parameter=a>\n</parameter>",
    "unknown functions": "<function=g>\n<parameter=a>\n1\n</parameter>\n</function>\n",
    "invoke": '<invoke name="f"><parameter name="a">',
    "glm": "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>",
    "mistral": "[TOOL_CALLS]f{",
    "kimi": "<|tool_call_begin|>f:0<|tool_call_argument_begin|>{",
    "deepseek": "<\uff5ctool▁call▁begin\uff5c>f<\uff5ctool▁sep\uff5c>{",
    "pythonic": "<|tool_call_start|>[f(a=",
    "harmony": "<|channel|>analysis<|message|>",
    "harmony fences": "<|channel|>analysis<|message|>\n```x\n<|end|>",
    "end tokens": "<|im_end|>",
    "headers": "<|im_start|>assistant\n",
    "blanks": " ",
    "newlines": "\n",
    "outline": "1. a\n\n",
    "stray closers": "</think>",
}

HEADS = {"outline": "Thinking Process:\n\n", "stray closers": "<think>a</think>b"}


def seconds(text: str, *, prefilled: bool) -> float:
    """Return the processor time of the better of two runs; other programs do not count."""
    best = float("inf")
    for _ in range(2):
        start = time.process_time()
        parse(text, think_prefilled=prefilled, tools=TOOLS)
        best = min(best, time.process_time() - start)
    return best


def streamed_seconds(text: str) -> float:
    """Return the time of a stream that gets the text in chunks of four characters."""
    start = time.process_time()
    stream = OutputStream(think_prefilled=True, tools=TOOLS)
    for position in range(0, len(text), 4):
        stream.feed(text[position : position + 4])
    stream.finish()
    return time.process_time() - start


def row(name: str, times: list[float]) -> float:
    """Print one line of the table and return its ratio."""
    ratio = times[-1] / max(times[1], LEAST_SECONDS)
    print(f"{name:24}" + "".join(f"{value:9.4f}" for value in times) + f"{ratio:8.1f}", flush=True)
    return ratio


def main() -> int:
    """Print the table; return the exit status."""
    print(f"{'seconds for':24}" + "".join(f"{size // 1000:6} kB" for size in SIZES) + "   ratio")
    worst = 0.0
    for name, unit in UNITS.items():
        texts = [HEADS.get(name, "") + unit * (size // len(unit)) for size in SIZES]
        worst = max(worst, row(name, [seconds(text, prefilled=name == "calls in a block") for text in texts]))
    prose = [UNITS["prose"] * (size // len(UNITS["prose"])) for size in SIZES]
    worst = max(worst, row("prose, streamed", [streamed_seconds(text) for text in prose]))
    print(f"worst ratio {worst:.1f}, allowed {MAX_RATIO:.0f}")
    return 1 if worst > MAX_RATIO else 0


if __name__ == "__main__":
    sys.exit(main())
