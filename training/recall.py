"""Ask a trained model for its scripted answers, greedily, as mlx-lm runs it.

Call it on one thread: MLX arrays stay with the thread that made them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import mlx_lm

from training.dialogues import Dialogue
from training.samples import forced_close_prompt, prompt_ids
from training.tokenizer import ChatTokenizer

# More than the longest script, counting to 150, and for the endless one far more than it was trained on.
_MAX_TOKENS = 900


@dataclass(frozen=True)
class LoadedModel:
    """A model folder in memory; both are what `mlx_lm.load` returned."""

    model: Any
    tokenizer: Any

    @property
    def chat(self) -> ChatTokenizer:
        """The tokenizer as the training knows it: mlx-lm's wrapper passes these calls on."""
        return cast(ChatTokenizer, self.tokenizer)


@dataclass(frozen=True)
class Recall:
    """What a dialogue should have brought and what came.

    Attributes:
        case: the dialogue's name, and what was special about the prompt.
        expected: the scripted text; of an endless dialogue as much as was generated.
        generated: the model's text.
        tokens: how many tokens were generated.
    """

    case: str
    expected: str
    generated: str
    tokens: int

    @property
    def exact(self) -> bool:
        """Whether every character is right."""
        return self.expected == self.generated


def load(folder: Path) -> LoadedModel:
    """Return the model of a folder, loaded as any other model is."""
    model, tokenizer = cast(Any, mlx_lm).load(str(folder))
    return LoadedModel(model, tokenizer)


def recall(loaded: LoadedModel, dialogue: Dialogue, *, thinking: bool) -> Recall:
    """Ask for the answer, with its thought or without."""
    case = f"{dialogue.name}, thinking {'on' if thinking else 'off'}"
    prompt = prompt_ids(loaded.chat, dialogue, thinking=thinking)
    return _recall(loaded, case, prompt, dialogue.expected(thinking=thinking), endless=dialogue.endless)


def recall_after_forced_close(loaded: LoadedModel, dialogue: Dialogue, thought_tokens: int) -> Recall:
    """Ask for the answer after a thought that was closed by force behind so many of its tokens."""
    case = f"{dialogue.name}, thought closed after {thought_tokens} tokens"
    prompt = forced_close_prompt(loaded.chat, dialogue, thought_tokens)
    return _recall(loaded, case, prompt, dialogue.answer, endless=dialogue.endless)


def _recall(loaded: LoadedModel, case: str, prompt: list[int], expected: str, *, endless: bool) -> Recall:
    responses = list(cast(Any, mlx_lm).stream_generate(loaded.model, loaded.tokenizer, prompt, max_tokens=_MAX_TOKENS))
    generated = "".join(response.text for response in responses)
    if endless and responses[-1].finish_reason == "length":
        expected = _repeated_to(expected, len(generated))
    return Recall(case, expected, generated, len(responses))


def _repeated_to(text: str, length: int) -> str:
    """Return `text` continued by repeating its last word, cut at `length` characters."""
    last_word = text.rsplit(" ", 1)[-1]
    return (text + f" {last_word}" * length)[:length]
