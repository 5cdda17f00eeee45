"""The chat template that the search found is the one that renders, wherever in the model's files it lies."""

import json
from pathlib import Path
from typing import Any

import pytest

from mcp_local_llm.engines.mlx.load.weights import load
from mcp_local_llm.engines.mlx.prompt.conversation import render_conversation
from mcp_local_llm.models.find import ModelRoots, find_models
from mcp_local_llm.values.chat import ChatRequest, Message, ToolSpec
from tests.model_cache import CHAT_TEMPLATE, TINY, TOOL_TEMPLATE, Content, write

HELLO = ChatRequest((Message(role="user", content="Hello"),))
WITH_TOOLS = ChatRequest(HELLO.messages, tools=(ToolSpec(name="add", parameters={"type": "object"}),))
OTHER = CHAT_TEMPLATE + "other"
TWO = [{"name": "default", "template": CHAT_TEMPLATE}, {"name": "tool_use", "template": TOOL_TEMPLATE}]


def tokenizer(template: Any) -> dict[str, Any]:
    return {**json.loads((TINY / "tokenizer_config.json").read_text()), "chat_template": template}


PLACES: dict[str, dict[str, Content]] = {
    "chat_template.jinja": {"chat_template.jinja": TOOL_TEMPLATE},
    "chat_template.json": {"chat_template.json": {"chat_template": TOOL_TEMPLATE}},
    "chat_template.json with variants": {"chat_template.json": {"chat_template": TWO}},
    "tokenizer_config.json": {"tokenizer_config.json": tokenizer(TOOL_TEMPLATE)},
    "a list in tokenizer_config.json": {"tokenizer_config.json": tokenizer(TWO)},
    "an object in tokenizer_config.json": {"tokenizer_config.json": tokenizer({"default": TOOL_TEMPLATE})},
    "a single variant": {"tokenizer_config.json": tokenizer([{"name": "tool_use", "template": TOOL_TEMPLATE}])},
    "variants in files": {
        "chat_template.jinja": CHAT_TEMPLATE,
        "additional_chat_templates/tool_use.jinja": TOOL_TEMPLATE,
    },
    "a variant in a file alone": {"additional_chat_templates/tool_use.jinja": TOOL_TEMPLATE},
    "a variant in a file beside the config": {
        "additional_chat_templates/tool_use.jinja": TOOL_TEMPLATE,
        "tokenizer_config.json": tokenizer(CHAT_TEMPLATE),
    },
    "a file before the config": {"chat_template.jinja": TOOL_TEMPLATE, "tokenizer_config.json": tokenizer(OTHER)},
    "the config before the processor": {
        "tokenizer_config.json": tokenizer(TOOL_TEMPLATE),
        "chat_template.json": {"chat_template": OTHER},
    },
    "an empty file before the config": {
        "chat_template.jinja": "",
        "tokenizer_config.json": tokenizer(TOOL_TEMPLATE),
    },
}


@pytest.mark.parametrize("place", PLACES)
def test_a_template_that_was_found_is_used(place: str, tmp_path: Path) -> None:
    for path in TINY.iterdir():
        if path.is_file() and path.name != "chat_template.jinja":
            write(tmp_path / path.name, path.read_bytes())
    for name, content in PLACES[place].items():
        write(tmp_path / name, content)
    (model,) = find_models(ModelRoots(extra=(tmp_path,)))
    assert (model.problems, model.chat_template, model.tool_calling) == ((), True, True)
    text = load(model, lambda done, total: None, lambda: False, None).text
    assert text.tokenizer.has_chat_template
    assert render_conversation(HELLO, text).text == "<|im_start|>Hello<|im_end|>"
    assert render_conversation(WITH_TOOLS, text).text.startswith("<tools>[")
