"""Recognizes that a prompt was too long from how servers say so, and finds their numbers. Pure.

There is no common form: OpenAI has a code, llama.cpp has fields, the others have sentences.
"""

import re
from dataclasses import dataclass

from mcp_local_llm.wire.json_values import as_count
from mcp_local_llm.wire.openai.errors import ServerError

_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})

MAX_MESSAGE = 4000
"""Characters of a message that are looked at; a server may put the whole prompt into it."""

# Group `window`: what fits; group `prompt`: what was sent. Tried in order, the one with more numbers first.
_WORDINGS = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        # OpenAI, LiteLLM, vLLM up to 0.8: "This model's maximum context length is 4096 tokens. However, you requested
        # 5000 tokens (4000 in the messages, 1000 in the completion)." / "... your messages resulted in 5000 tokens."
        r"maximum context length is (?P<window>\d+) tokens.*?(?P<prompt>\d+) (?:in the messages|input tokens)",
        r"maximum context length is (?P<window>\d+) tokens.*?(?:requested|resulted in) (?P<prompt>\d+) tokens",
        # vLLM: "The decoder prompt (length 5000) is longer than the maximum model length of 4096."
        r"prompt \((?:total )?length (?P<prompt>\d+)\) is longer than the maximum model length of (?P<window>\d+)",
        # llama.cpp: "request (4476 tokens) exceeds the available context size (4096 tokens), try increasing it"
        r"request \((?P<prompt>\d+) tokens\) exceeds the available context size \((?P<window>\d+) tokens\)",
        # LM Studio: "Trying to keep the first 111490 tokens when context the overflows. However, the model is loaded
        # with context length of only 32768 tokens, which is not enough."
        r"keep the first (?P<prompt>\d+) tokens.*?context length of only (?P<window>\d+) tokens",
        # LM Studio: "The number of tokens to keep from the initial prompt is greater than the context length
        # (n_keep: 13055>= n_ctx: 4096)."
        r"n_keep: (?P<prompt>\d+)\s*>=\s*n_ctx: (?P<window>\d+)",
        # oMLX, rapid-mlx and others: "Prompt too long: 5000 tokens exceeds max context window of 4096 tokens"
        r"(?:prompt|input)\D{0,40}?(?P<prompt>\d+) tokens\D{0,60}?(?:max|limit|window|context)\D{0,40}(?P<window>\d+)",
        # OpenAI: "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 477469 tokens."
        r"configured limit of (?P<window>\d+) tokens\D{0,60}(?P<prompt>\d+) tokens",
        r"maximum context length is (?P<window>\d+)",
        r"context (?:length|window|size) (?:of|is) (?P<window>\d+).{0,60}exceed",
        # Ollama: "input length exceeds the context length"; llama.cpp before the code: "... exceeds the available
        # context size".
        r"exceed\w* (?:the |maximum |max |available |model'?s? )*context (?:length|size|window)",
        r"context (?:length|size|window) (?:was |is )?exceeded",
        r"prompt is too long|prompt too long|input is too long",
    )
)


@dataclass(frozen=True)
class ContextOverflow:
    """Tokens of the prompt and of the window, as far as the server told them."""

    prompt_tokens: int | None = None
    window: int | None = None


def context_overflow(error: ServerError) -> ContextOverflow | None:
    """Tell whether an error means that prompt and answer do not fit; None for any other error."""
    prompt, window = as_count(error.details.get("n_prompt_tokens")), as_count(error.details.get("n_ctx"))
    if prompt is not None and window is not None:
        return ContextOverflow(prompt, window)
    for wording in _WORDINGS:
        if found := wording.search(error.message[:MAX_MESSAGE]):
            numbers = found.groupdict()
            return ContextOverflow(_number(numbers.get("prompt")), _number(numbers.get("window")))
    return ContextOverflow(prompt, window) if error.code in _CODES else None


def _number(digits: str | None) -> int | None:
    return int(digits) if digits else None
