"""mlx-lm as a library, used as its own documentation does: the reference that everything is measured against."""

import copy
import importlib
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import mlx.core
from mlx_lm.generate import BatchGenerator
from mlx_lm.models.cache import make_prompt_cache, trim_prompt_cache
from mlx_lm.utils import load

from mcp_local_llm.engines.mlx.prompt.common_prefix import alike
from mcp_local_llm.values.chat import Message

# mlx declares its types in part only.
mx: Any = mlx.core


class Bare:
    """A model as `mlx_lm.load` gives it, on the thread that made it."""

    def __init__(self, folder: Path) -> None:
        # The module by name: `mlx_lm.generate` is also a function, and neither is typed.
        self._stream: Any = importlib.import_module("mlx_lm.generate").stream_generate
        self.network, self.tokenizer = cast(tuple[Any, Any], load(str(folder))[:2])

    def tokens_of(self, text: str) -> list[int]:
        """Encode text."""
        return cast(list[int], self.tokenizer.encode(text, add_special_tokens=False))

    def text_of(self, tokens: list[int]) -> str:
        """Decode tokens."""
        return cast(str, self.tokenizer.decode(tokens))

    def prompt(self, messages: list[Message]) -> list[int]:
        """Apply the chat template."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return cast(list[int], self.tokenizer.apply_chat_template(turns, add_generation_prompt=True))

    def decode_rate(self, messages: list[Message], tokens: int) -> float:
        """Return tokens per second from the first token to the last of `stream_generate`."""
        times = [time.perf_counter() for _ in self._stream(self.network, self.tokenizer, self.prompt(messages), tokens)]
        return (len(times) - 1) / (times[-1] - times[0])

    def answer(self, messages: list[Message], tokens: int) -> str:
        """Return the text of `stream_generate`."""
        return "".join(one.text for one in self._stream(self.network, self.tokenizer, self.prompt(messages), tokens))

    def first_token(self, messages: list[Message], kept: "KeptCache | None" = None) -> float:
        """Return the seconds from a conversation to its first token, with a cache kept by hand or without one."""
        started = time.perf_counter()
        self._read(messages, kept)
        return time.perf_counter() - started

    def keep(self, messages: list[Message], kept: "KeptCache | None" = None) -> "KeptCache":
        """Read a conversation into a cache."""
        kept = kept or KeptCache(make_prompt_cache(self.network))
        self._read(messages, kept)
        return kept

    def _read(self, messages: list[Message], kept: "KeptCache | None") -> None:
        """Draw one token; the cache is first cut back to where it parts from the conversation."""
        prompt = self.prompt(messages)
        if kept is None:
            rest, layers = prompt, None
        else:
            layers, same = kept.layers, min(alike(kept.tokens, prompt), len(prompt) - 1)
            trim_prompt_cache(layers, cast(int, layers[0].offset) - same)
            rest, kept.tokens = prompt[same:], prompt
        for _ in self._stream(self.network, self.tokenizer, rest, 1, prompt_cache=layers):
            pass

    def together(self, conversations: list[list[Message]], tokens: int) -> float:
        """Return tokens per second of all conversations at once through `BatchGenerator`, prompts included."""
        started = time.perf_counter()
        generator: Any = BatchGenerator(self.network, completion_batch_size=len(conversations))
        generator.insert([self.prompt(messages) for messages in conversations], [tokens] * len(conversations))
        count = 0
        while count < tokens * len(conversations):
            responses = generator.next()[1]
            count += len(responses)
        generator.close()
        return count / (time.perf_counter() - started)

    def together_from_shared(self, conversations: list[list[Message]], tokens: list[int], batch_size: int) -> float:
        """Return the seconds of all conversations through `BatchGenerator`, with `tokens` tokens for each of them.

        What all of them begin with is computed once, and each gets a copy of that cache.
        """
        started = time.perf_counter()
        prompts = [self.prompt(messages) for messages in conversations]
        same = min(alike(prompts[0], prompt) for prompt in prompts[1:])
        layers = make_prompt_cache(self.network)
        self.network(mx.array(prompts[0][:same])[None], cache=layers)
        mx.eval([layer.state for layer in layers])
        generator: Any = BatchGenerator(self.network, completion_batch_size=batch_size, prefill_batch_size=batch_size)
        caches = [copy.deepcopy(layers) for _ in prompts]
        generator.insert([prompt[same:] for prompt in prompts], tokens, caches=caches)
        left = sum(tokens)
        while left:
            left -= len(generator.next()[1])
        generator.close()
        return time.perf_counter() - started

    def worst_gap(self, running: list[Message], arriving: list[Message], tokens: int) -> float:
        """Return the longest time between two tokens of one request while another's prompt is read in steps of 2048."""
        generator: Any = BatchGenerator(self.network, prefill_batch_size=1, prefill_step_size=2048)
        (first,) = generator.insert([self.prompt(running)], [tokens])
        seen: list[float] = []
        arrived = False
        while len(seen) < tokens:
            if len(seen) == 8 and not arrived:
                arrived = True
                generator.insert([self.prompt(arriving)], [1])
            seen += [time.perf_counter() for response in generator.next()[1] if response.uid == first]
        generator.close()
        return max(after - before for before, after in pairwise(seen[8:]))


class KeptCache:
    """A KV cache and the prompt that was read into it; tokens drawn after that may be in it as well."""

    def __init__(self, layers: Any) -> None:
        self.layers = layers
        self.tokens: list[int] = []
