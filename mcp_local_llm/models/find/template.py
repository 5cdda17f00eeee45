"""The chat template of a model and what its text gives away: tools and thinking."""

import re
from pathlib import Path
from typing import cast

from mcp_local_llm.models.find.files import MAX_JSON_BYTES, JsonObject, UnreadableError, read_object
from mcp_local_llm.setup.regular_file import read_regular

# A template that supports tools reads the variable `tools` inside a Jinja tag; prose may hold the word as well.
_READS_TOOLS = re.compile(r"\{[%{][^}]*\btools\b")
# Marks of a reasoning block: Qwen, DeepSeek, GLM and MiniMax; gpt-oss; Gemma 4; Magistral; Seed; LongCat.
_THINKING_MARKS = (
    "<think>",
    "</think>",
    "enable_thinking",
    "<|channel|>analysis",
    "<|channel>thought",
    "[THINK]",
    "<seed:think>",
    "<longcat_think>",
    "<|think:start|>",
)


def read_template(folder: Path, tokenizer_config: JsonObject) -> str | None:
    """Return the text of the chat template (of all variants together), or None where the model has none.

    A file beside the tokenizer wins over the entry in tokenizer_config.json, as in transformers.
    """
    try:
        if text := read_regular(folder / "chat_template.jinja", MAX_JSON_BYTES).decode(errors="replace"):
            return text
    except OSError:
        pass  # most models have no such file
    try:
        if text := _text(read_object(folder / "chat_template.json").get("chat_template")):
            return text
    except UnreadableError:
        pass  # as above; a broken one counts as none
    return _text(tokenizer_config.get("chat_template"))


def _text(template: object) -> str | None:
    """Flatten a template: a string, or a list of `{"name": …, "template": …}`."""
    if isinstance(template, str):
        return template or None
    if isinstance(template, list):
        variants = [cast(JsonObject, entry) for entry in cast(list[object], template) if isinstance(entry, dict)]
        return "\n".join(text for entry in variants if isinstance(text := entry.get("template"), str)) or None
    return None


def reads_tools(template: str) -> bool:
    """Tell whether the template shows tools to the model."""
    return _READS_TOOLS.search(template) is not None


def has_thinking(template: str) -> bool:
    """Tell whether the template knows a reasoning block."""
    return any(mark in template for mark in _THINKING_MARKS)
