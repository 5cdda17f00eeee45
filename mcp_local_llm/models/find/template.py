"""Reads the chat templates of a model, and detects its support of tools and thinking."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from mcp_local_llm.models.find.files import (
    ADDITIONAL_TEMPLATES,
    MAX_JSON_BYTES,
    JsonObject,
    UnreadableError,
    children,
    read_object,
)
from mcp_local_llm.setup.regular_file import read_regular

MAX_TEMPLATE = 2**18
"""The most characters of a chat template; the longest have some 30,000. A longer one takes minutes to compile."""

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


@dataclass(frozen=True)
class ChatTemplates:
    """The chat templates of a model by their names, `default` among them; empty for a model without one.

    Attributes:
        usual: transformers finds exactly these by itself.
    """

    texts: Mapping[str, str]
    usual: bool


def read_templates(folder: Path, tokenizer_config: JsonObject, problems: list[str]) -> ChatTemplates:
    """Return the chat templates of a model.

    The order is that of transformers' tokenizers, so that prompts are those of mlx-lm: chat_template.jinja with the
    files of additional_chat_templates/, then tokenizer_config.json. chat_template.json, which transformers reads for
    processors alone, is used where nothing else has a template.

    Args:
        folder: of the model.
        tokenizer_config: the content of its tokenizer_config.json.
        problems: takes a sentence for each file that cannot be read.
    """
    paths = {path.stem: path for path in children(folder / ADDITIONAL_TEMPLATES) if path.suffix == ".jinja"}
    if os.path.exists(folder / "chat_template.jinja"):
        paths["default"] = folder / "chat_template.jinja"
    files = {name: _read(path, problems) for name, path in paths.items()}
    entry: object = tokenizer_config.get("chat_template")
    named = _named(entry)
    broken = isinstance(entry, list) and len(cast(list[object], entry)) != len(named)
    usual = files or (None if broken else named)
    texts = {name: text for name, text in files.items() if text}
    if "default" not in texts:
        texts = named | texts
    if not texts:
        with suppress(UnreadableError):  # most models have no such file, and a broken one is ignored
            texts = _named(read_object(folder / "chat_template.json").get("chat_template"))
    if texts and "default" not in texts:
        texts = {"default": next(iter(texts.values()))} | texts
    if any(len(text) > MAX_TEMPLATE for text in texts.values()):
        problems.append(f"its chat template has more than {MAX_TEMPLATE:,} characters, too many to be one")
    return ChatTemplates(texts, texts == usual)


def _read(path: Path, problems: list[str]) -> str:
    target = Path(os.path.realpath(path))
    if path.suffix != target.suffix and target.parent.name != "blobs":
        # A cloned repository may hold such a link: the model would read a key of this user as its instructions.
        problems.append(f"{path.name} is a link to a file that is no template")
        return ""
    try:
        return read_regular(path, MAX_JSON_BYTES).decode()
    except UnicodeDecodeError:
        problems.append(f"{path.name} is not UTF-8 text")
    except OSError:
        problems.append(f"{path.name} is not a regular file")
    return ""


def _named(entry: object) -> dict[str, str]:
    """Return the templates of an entry: a text, `{name: text}`, or a list of `{"name": name, "template": text}`."""
    if isinstance(entry, list):
        parts = [cast(JsonObject, part) for part in cast(list[object], entry) if isinstance(part, dict)]
        entry = {str(part.get("name", "default")): part.get("template") for part in parts}
    pairs = cast(dict[object, object], entry if isinstance(entry, dict) else {"default": entry})
    return {name: text for name, text in pairs.items() if isinstance(name, str) and isinstance(text, str) and text}


def reads_tools(templates: Mapping[str, str]) -> bool:
    """Return whether the template that is used with tools (`tool_use`, else `default`) renders them."""
    return _READS_TOOLS.search(templates.get("tool_use", templates.get("default", ""))) is not None


def has_thinking(templates: Mapping[str, str]) -> bool:
    """Return whether a template supports a reasoning block."""
    return any(marker in text for marker in _THINKING_MARKERS for text in templates.values())
