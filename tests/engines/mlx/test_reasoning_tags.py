"""How a model marks its reasoning comes from its own files, and goes to the parser and to the count of its tokens."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_local_llm.engines.mlx.chunks import ChunkBuilder
from mcp_local_llm.engines.mlx.messages import Finished, Generated, Started
from mcp_local_llm.parsing import KNOWN_MARKUP, Markup, OutputStream, TagPair, markup_of, parse
from mcp_local_llm.values.chat import ChatChunk, ChatRequest, SamplingParams
from mcp_local_llm.values.model import ModelInfo
from tests.engines.mlx.asking import answer, engine_of, prompt

LONGCAT = TagPair("<longcat_think>", "</longcat_think>")
MUSE = TagPair("<|think:start|>", "<|think:end|>")
SEED = TagPair("<seed:think>", "</seed:think>")
LEGS = "How many legs do two cats and a bird have?"


def renamed(tiny: ModelInfo, folder: Path, tags: TagPair) -> ModelInfo:
    """The built-in model with other tags in its vocabulary and its template."""
    shutil.copytree(tiny.path, folder)
    for path in folder.iterdir():
        if path.suffix in (".json", ".jinja"):
            text = path.read_text(encoding="utf-8")
            quoted = json.dumps if path.suffix == ".json" else str
            for old, new in (("<think>", tags.opener), ("</think>", tags.closer)):
                text = text.replace(old, quoted(new).strip('"'))
            path.write_text(text, encoding="utf-8")
    return replace(tiny, path=folder)


@pytest.mark.parametrize("tags", [LONGCAT, MUSE, SEED, TagPair("<think>", "</think>")], ids=lambda tags: tags.opener)
async def test_a_model_answers_alike_whatever_its_tags_are_called(
    tiny: ModelInfo, tmp_path: Path, tags: TagPair
) -> None:
    asked = ChatRequest(prompt(LEGS), thinking=True, sampling=SamplingParams(max_tokens=400, temperature=0.0))
    async with engine_of(tiny) as engine:
        expected = await answer(engine, asked)
    async with engine_of(renamed(tiny, tmp_path / "renamed", tags)) as engine:
        whole = await answer(engine, asked)
        short = await answer(engine, replace(asked, max_thinking_tokens=5))
    assert expected.reasoning
    assert (whole.text, whole.reasoning) == (expected.text, expected.reasoning)
    assert whole.usage.reasoning_tokens == expected.usage.reasoning_tokens
    assert 0 < short.usage.reasoning_tokens <= 5
    assert tags.closer not in short.text


RAW = (
    ("<longcat_think>plan</longcat_think>The answer.", False),
    ("plan</longcat_think>The answer.", True),
    ("<longcat_think>plan</longcat_think>" + "A long answer. " * 60, False),
    ("<longcat_think>cut off", False),
    ("<thought>is text here</thought>", False),
    ("", True),
)


@pytest.mark.parametrize(("raw", "prefilled"), RAW)
def test_the_parser_takes_the_tags_it_was_given_whole_and_in_pieces(raw: str, prefilled: bool) -> None:
    markup = markup_of([LONGCAT])
    whole = parse(raw, think_prefilled=prefilled, tools=None, markup=markup)
    stream = OutputStream(think_prefilled=prefilled, tools=None, markup=markup)
    shown = "".join(str(text) for letter in raw for kind, text in stream.feed(letter) if kind == "text")
    assert stream.finish() == whole
    assert whole.text.startswith(shown)
    assert "longcat" not in whole.text + whole.reasoning
    renamed_raw = raw.replace("longcat_think", "think")
    if "thought" not in raw:
        assert whole == parse(renamed_raw, think_prefilled=prefilled, tools=None)
    else:
        assert whole.text == raw


@pytest.mark.parametrize("markup", [KNOWN_MARKUP, markup_of([LONGCAT])], ids=["known", "longcat"])
def test_a_block_that_the_template_closed_lets_the_answer_stream(tiny: ModelInfo, markup: Markup) -> None:
    reply = ChunkBuilder(ChatRequest(prompt("Hello"), stream=True), tiny, markup)
    text = "An answer that is long enough to be shown. " * 20
    chunks: list[ChatChunk] = [
        reply.chunk(Started(10, 0, think_prefilled=False, answer_only=True)),
        reply.chunk(Generated(text, 200, 1.0)),
        reply.chunk(Finished("", "stop", 200, 0, 0.0, 0.0, 1.0)),
    ]
    assert chunks[1].text.strip() == text.strip()
    assert chunks[2].result is not None
    assert chunks[2].result.text == text.strip()
