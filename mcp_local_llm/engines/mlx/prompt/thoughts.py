"""Decides which thoughts of earlier answers are in a prompt, so that the past of a conversation never changes. Pure.

Many templates (Qwen3's among them) write a thought only until the next user turn. Obeyed, each new user turn would
change the prompt from the turn before on, and all results of tools since then would be computed again. So:

- A template that keeps all thoughts, by itself or by a variable (`TemplateTraits.history`), gets all of them.
- Elsewhere the thought of a turn with calls is written for good, in the template's own form: the model needs it while
  the results come in, and it stays when they are past. The thought of a final answer is never written; the KV cache is
  then used up to the end of the prompt that the answer followed.
- A template that never writes thoughts, or not right before the content, gets none.
"""

import secrets
from collections.abc import Sequence

from mcp_local_llm.engines.mlx.prompt.text_model import TemplateTraits, ThoughtForm
from mcp_local_llm.engines.mlx.prompt.written_tools import Turn


class Thoughts:
    """The thoughts of one conversation that are written into its rendering, at marks in its turns."""

    def __init__(self, traits: TemplateTraits) -> None:
        self._traits = traits
        self._texts: dict[str, str] = {}

    def placed(self, turns: Sequence[Turn]) -> list[Turn]:
        """Return the turns with a mark for each thought to be written; a `reasoning_content` is for the template."""
        return list(turns) if self._traits.keeps_thoughts else [self._placed(turn) for turn in turns]

    def written(self, text: str) -> str:
        """Return a rendering with its thoughts."""
        for mark, thought in self._texts.items():
            text = text.replace(mark, thought)
        return text

    def _placed(self, turn: Turn) -> Turn:
        if "reasoning_content" not in turn:
            return turn
        rest, form = {**turn}, self._traits.thought
        thought = str(rest.pop("reasoning_content")).strip("\n")
        if form is None or not thought or "tool_calls" not in turn:
            return rest
        # Nobody can write it, and a template changes nothing of it.
        mark = f"~{secrets.token_hex(16)}~"
        self._texts[mark] = _in_form(thought, form, alone=not turn["content"])
        return {**rest, "content": f"{mark}{turn['content']}"}


def _in_form(thought: str, form: ThoughtForm, *, alone: bool) -> str:
    return f"{form.before}{thought}{form.after_alone if alone else form.after}"
