"""Reads the chat template of a model, and detects its support of tools and thinking."""

import re
from pathlib import Path
from typing import cast

from mcp_local_llm.models.find.files import MAX_JSON_BYTES, JsonObject, UnreadableError, read_object
from mcp_local_llm.setup.regular_file import read_regular

# A template that supports tools reads the variable `tools` inside a Jinja tag; its text may contain the word as well.
_READS_TOOLS = re.compile(r"\{[%{][^}]*\btools\b")
# Markers of a reasoning block: Qwen, DeepSeek, GLM and MiniMax; gpt-oss; Gemma 4; Magistral; Seed; LongCat.
_THINKING_MARKERS = (
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
    """Return the text of the chat template, of all variants together; None for a model without one.

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
        pass  # a broken file is ignored
    return _text(tokenizer_config.get("chat_template"))


def _text(template: object) -> str | None:
    """Return the text of a template: of a string, or of a list of `{"name": …, "template": …}`."""
    if isinstance(template, str):
        return template or None
    if isinstance(template, list):
        variants = [cast(JsonObject, entry) for entry in cast(list[object], template) if isinstance(entry, dict)]
        return "\n".join(text for entry in variants if isinstance(text := entry.get("template"), str)) or None
    return None


def reads_tools(template: str) -> bool:
    """Return whether the template renders tools."""
    return _READS_TOOLS.search(template) is not None


def has_thinking(template: str) -> bool:
    """Return whether the template supports a reasoning block."""
    return any(marker in template for marker in _THINKING_MARKERS)
