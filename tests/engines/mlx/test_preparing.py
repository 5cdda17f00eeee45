"""Preparing a request fails that request alone, whatever is raised; it holds nobody up, and ends when cancelled."""

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

from mcp_local_llm.engines.mlx.batch import prepare as preflight
from mcp_local_llm.engines.mlx.batch.prepare import RequestPreparer
from mcp_local_llm.engines.mlx.prompt.bounded_template import ChatTemplate
from mcp_local_llm.engines.mlx.prompt.render import PIECE, render
from mcp_local_llm.engines.mlx.prompt.rendering_budget import RenderingBudget, RenderingLimit
from mcp_local_llm.engines.mlx.prompt.text_model import TextModel
from mcp_local_llm.engines.mlx.prompt.tokenizer_bounds import CUT, cut_between_words, longest_token
from mcp_local_llm.engines.mlx.steer.processors import ProcessorFactory
from mcp_local_llm.values.chat import ChatRequest, SamplingParams, ToolSpec
from mcp_local_llm.values.errors import ContextLengthError, InvalidRequestError
from mcp_local_llm.values.model import ModelInfo
from tests.clients import WAIT_S
from tests.engines.mlx.asking import answer, ask, engine_of, prompt
from tests.sweep import sampled

Json = dict[str, Any]


class NativePanic(BaseException):
    """What native code under Python raises: no Exception."""


async def others_go_on(engine: Any, failing: Callable[[], Any]) -> None:
    """Let `failing` run beside an answer, which must come out whole, as must the next one."""
    texts: list[str] = []

    async def counting() -> None:
        texts.append((await ask(engine, "Count from 1 to 20.", SamplingParams(max_tokens=300))).text)

    async with anyio.create_task_group() as group:
        group.start_soon(counting)
        await failing()
    assert texts[0].endswith("18, 19, 20")
    assert (await ask(engine, "Hello")).text
    assert not engine.lost


@pytest.mark.parametrize("cause", [ValueError("odd"), RecursionError("deep"), NativePanic("index out of bounds")])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (RequestPreparer, "plan"),
        (ProcessorFactory, "processors_for"),
        (preflight, "sampler_for"),
        (TextModel, "encode"),
    ],
)
async def test_whatever_is_raised_while_a_request_is_prepared_fails_it_alone(
    tiny: ModelInfo,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: object,
    name: str,
    cause: BaseException,
) -> None:
    caplog.set_level(logging.CRITICAL)
    async with engine_of(tiny) as engine:
        sound = getattr(owner, name)

        async def failing() -> None:
            left: list[BaseException] = []

            def broken(*arguments: Any, **named: Any) -> Any:
                if left:
                    raise left.pop()
                return sound(*arguments, **named)

            monkeypatch.setattr(owner, name, broken)
            for _ in range(3):
                left.append(cause)
                with pytest.raises(InvalidRequestError, match=type(cause).__name__):
                    await ask(engine, "Write a poem.")

        await anyio.wait_all_tasks_blocked()
        await failing()
        await others_go_on(engine, anyio.lowlevel.checkpoint)


SCHEMAS: list[Json] = [
    {"required": 5, "properties": {"a": {}}},
    {"type": "object", "properties": {"a": {"type": "object", "required": True}}},
    {"properties": 5},
]


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_a_broken_schema_that_reaches_the_engine_fails_its_own_request(
    tiny: ModelInfo, caplog: pytest.LogCaptureFixture, schema: Json
) -> None:
    caplog.set_level(logging.CRITICAL)
    async with engine_of(tiny) as engine:

        async def failing() -> None:
            for _ in range(2):
                with pytest.raises(InvalidRequestError):
                    await answer(engine, ChatRequest(prompt("Hello"), response_schema=schema))
                tool = ToolSpec(name="look_up", parameters=schema)
                with pytest.raises(InvalidRequestError):
                    await answer(engine, ChatRequest(prompt("Hello"), tools=(tool,), response_schema=schema))

        await others_go_on(engine, failing)


@pytest.mark.parametrize(
    "schema", [{"$ref": "#"}, {"anyOf": [{"$ref": "#"}]}, {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}]
)
async def test_a_schema_that_nothing_can_satisfy_is_refused_before_anything_is_generated(
    tiny: ModelInfo, schema: Json
) -> None:
    async with engine_of(tiny) as engine:
        with pytest.raises(InvalidRequestError, match="nothing can satisfy it"):
            await answer(engine, ChatRequest(prompt("Hello"), response_schema=schema))


LOOPS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
GROWS = (
    "{{% set ns = namespace(kept=[], text='x' * 99999) %}}{{% for i in range(99999) %}}"
    "{{% set ns.kept = ns.kept + [{}] %}}{{% endfor %}}"
)
NESTED = (
    "{% set ns = namespace(a=[0], b=[0]) %}{% for i in range(60) %}"
    "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}"
)
ENDLESS = {
    "nested loops": LOOPS,
    "filtered loops": "{% for i in range(99999) %}{% for j in range(99999) if j == -1 %}{% endfor %}{% endfor %}",
    "a macro that calls itself twice": (
        "{% macro f(n) %}{{ f(n - 1) if n else '' }}{{ f(n - 1) if n else '' }}{% endmacro %}{{ f(60) }}"
    ),
    "a text that doubles": (
        "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}"
    ),
    "a list that doubles": (
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}"
    ),
    "a block that doubles": (
        "{% set ns = namespace(x='ab') %}{% for i in range(60) %}"
        "{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}"
    ),
    "a long text at once": "{{ 'a' * 10 ** 12 }}",
    "output without end": "{% for i in range(99999) %}{% for j in range(9999) %}"
    + "a" * 500
    + "{% endfor %}{% endfor %}",
    "a power of powers": "{% set ns = namespace(x=9) %}{% for i in range(9) %}{% set ns.x = ns.x ** 60 %}{% endfor %}",
    "a number that is squared": (
        "{% set ns = namespace(x=9) %}{% for i in range(60) %}{% set ns.x = ns.x * ns.x %}{% endfor %}"
    ),
    "a wide format": "{{ '%9000000000d' % 1 }}",
    "a width as argument": "{{ '%*d' % (9000000000, 1) }}",
    "a wide format filter": "{{ '%9000000000s' | format(1) }}",
    "a wide format method": "{{ '{:>9000000000}'.format(1) }}",
    "a width in a field": "{{ '{:{}}'.format(1, 9000000000) }}",
    "a long text in many fields": "{{ ('{0}' * 99999).format('a' * 99999) }}",
    "a padded text": "{{ 'a'.center(9000000000) }}",
    "a padding filter": "{{ ['a'] | map('center', 9000000000) | list }}",
    "a number as bytes": "{{ (1).to_bytes(9000000000, 'big') }}",
    "wide tabs": "{{ ('\t' * 9999).expandtabs(99999) }}",
    "a text for each letter": "{{ ('a' * 99999).replace('a', 'b' * 99999) }}",
    "a filter that puts a text for each letter": "{{ ('a' * 99999) | replace('a', 'b' * 99999) }}",
    "a table of letters": "{{ ('a' * 99999).translate({97: 'b' * 99999}) }}",
    "a long text between many": "{{ ('b' * 99999).join(['a'] * 99999) }}",
    "a long text joined to many": "{{ (['a'] * 99999) | join('b' * 99999) }}",
    "letters joined by a long text": "{{ ('a' * 99999) | join('b' * 99999) }}",
    "a list of one long text": "{{ [['a' * 99999] * 99999] }}",
    "a list as text": "{{ [['a' * 99999] * 99999] | string | length }}",
    "a list in a text": "{{ 'a' ~ [['a' * 99999] * 99999] }}",
    "a list as JSON": "{{ [['a' * 99999] * 99999] | tojson }}",
    "deep JSON": "{{ ([1] * 9999) | tojson(indent=9999) }}",
    "lists that are added up": "{{ ([[1] * 99999] * 99999) | sum(start=[]) | length }}",
    "wide lines": "{{ ('a\n' * 9999) | indent(99999) }}",
    "many columns": "{{ [1] | slice(9000000000) | list }}",
    "texts that are added and kept": GROWS.format("ns.text + 'y'"),
    "slices that are kept": GROWS.format("ns.text[1:]"),
    "texts that are repeated and kept": GROWS.format("'x' * 99999"),
    "formats that are kept": GROWS.format("'%s' % ns.text"),
    "twins as text": NESTED + "{{ ns.a | upper }}",
    "twins in a text": NESTED + "{{ ns.a ~ '' }}",
    "twins between texts": NESTED + "{{ ['a', 'b'] | join(ns.a) }}",
    "twins that are compared": NESTED + "{{ ns.a == ns.b }}",
    "twins that are searched": NESTED + "{{ ns.a[0] in ns.b }}",
    "twins that are tested": NESTED + "{{ ns.a is eq(ns.b) }}",
    "twins that are looked for": NESTED + "{{ ns.b.index(ns.a[0]) }}",
    "twins that are sorted": NESTED + "{{ [ns.a, ns.b] | sort | length }}",
    "twins that are chosen": NESTED + "{{ [ns.a, ns.b] | select('eq', ns.a) | list | length }}",
    "twins as a key": NESTED.replace("[", "(").replace("]", ",)") + "{{ {ns.a: 1} | length }}",
    "twins as a name": NESTED + "{{ ns.a[ns.b].x }}",
    "a number of many digits": "{{ ('f' * 99999) | int(0, 16) % 7 }}",
    "a date without end": "{{ strftime_now('%c' * 99999) }}",
    "filters of filters": (
        "{% set ns = namespace(x=range(9000)) %}{% for i in range(400) %}{% set ns.x = ns.x | select %}{% endfor %}"
        "{{ ns.x | list | length }}"
    ),
    "groups of a long list": (
        "{% set x = [{'a': 1}] * 9999 %}{% for i in range(9999) %}{% set _ = x | groupby('a') %}{% endfor %}"
    ),
    "filters over long lists": "{% for i in range(60000) %}{% set _ = range(99999) | map('abs') | list %}{% endfor %}",
}


@pytest.mark.fault(
    "Models that are broken or hostile",
    "one of fifty chat templates that loop, or grow a text, a list or a number without end",
    promised="the rendering ends within its bounds",
    tries=1,
)
@pytest.mark.parametrize("source", sampled(ENDLESS.values(), 3), ids=ENDLESS.keys())
def test_a_template_without_end_is_ended(source: str) -> None:
    with pytest.raises(RenderingLimit):
        ChatTemplate(source).render({}, RenderingBudget(100, 10**6))


def test_a_template_ends_when_its_time_is_up_or_nobody_waits() -> None:
    now = iter(range(0, 1000, 6))
    with pytest.raises(RenderingLimit, match="10 seconds"):
        ChatTemplate(LOOPS).render({}, RenderingBudget(100, 10**6, clock=lambda: next(now)))
    with pytest.raises(RenderingLimit, match="cancelled"):
        ChatTemplate(LOOPS).render({}, RenderingBudget(100, 10**6, cancelled=lambda: True))


CONVERSATION: list[Json] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " What is <b>this</b>?\n"},
    {"role": "assistant", "content": "A tag.", "reasoning_content": "Bold."},
    {"role": "user", "content": "And 你好?"},
]
TOOLS: list[Json] = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "a": "é<"}}}]
TEMPLATES = {
    "loop variables": (
        "{% for m in messages %}{{ loop.index0 }}{{ m.role }}{% if loop.last %}!{{ loop.length }}{% endif %}"
        "{% if loop.previtem is defined %}{{ loop.previtem.role }}{% endif %}{% endfor %}"
    ),
    "namespaces and slices": (
        "{% set ns = namespace(n=0, last='') %}{% for m in messages[1:] | reverse if m.role == 'user' %}"
        "{% set ns.n = ns.n + 1 %}{% set ns.last = m['content'].strip() ~ '|' %}{% endfor %}{{ ns.n }}{{ ns.last }}"
    ),
    "tools as JSON": "{% if tools %}{{ tools | tojson(indent=2) }}{{ tools[0].function | tojson }}{% endif %}",
    "macros and calls": (
        "{% macro turn(m) -%}<{{ m.role }}>{{ caller() }}</{{ m.role }}>{%- endmacro %}{% for m in messages %}"
        "{% call turn(m) %}{{ m.content | trim | upper }}{% endcall %}{% endfor %}"
    ),
    "recursion": "{% for m in [[1, [2, 3]], 4] recursive %}{{ loop(m) if m is sequence else m }},{% endfor %}",
    "generation": (
        "{%- for m in messages %}\n    {%- if m.role == 'assistant' %}{% generation %}{{ m.content }}"
        "{% endgeneration %}"
        "{%- else %}\n{{ m.content }}{% endif %}\n{%- endfor %}\n{% if add_generation_prompt %}<a>{% endif %}"
    ),
    "break and continue": (
        "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{{ m.content }}"
        "{% if loop.index > 2 %}{% break %}{% endif %}{% endfor %}"
    ),
    "reasoning under both names": "{% for m in messages %}{{ m.reasoning_content }}{{ m.thinking }}{% endfor %}",
    "texts and lists together": (
        "{{ messages | map(attribute='role') | join(', ') }}{{ ', '.join(['a', 'b']) }}{{ 'a,b'.split(',') | join }}"
        "{{ messages[0].content | replace('.', '!') | indent(2, true) }}{{ '{}:{:>4}'.format('x', 7) }}{{ 'a' ~ [1] }}"
        "{{ [1, 2] | sum }}{{ '%05.1f' | format(2.5) }}{{ 7 % 4 }}{{ 2 ** 10 * 3 }}{{ [messages] | string | length }}"
        "{{ x | default('none') | center(9) }}{{ (messages | selectattr('role', 'equalto', 'user') | list) | length }}"
    ),
    "filter blocks": "{% filter upper %}{% for m in messages %}{{ m.role }}{% endfor %}{% endfilter %}",
    "texts that are built": "{% set x | upper %}{{ messages[0].content }}{% endset %}{{ x * 2 }}{{ '%s-%d' % (x, 3) }}",
}


@pytest.mark.parametrize("source", TEMPLATES.values(), ids=TEMPLATES.keys())
def test_counting_changes_nothing_of_a_rendered_text(source: str) -> None:
    messages = [{"thinking": m["reasoning_content"], **m} if "reasoning_content" in m else m for m in CONVERSATION]
    variables = {"messages": messages, "tools": TOOLS, "documents": None, "add_generation_prompt": True}
    theirs: Any = vars(chat_template_utils)["render_jinja_template"]
    (expected,), _ = theirs([CONVERSATION], TOOLS, chat_template=source, add_generation_prompt=True)
    assert ChatTemplate(source).render(variables, RenderingBudget(100, 10**6)) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{ m | tojson(indent=4) }}",
        "{{ '{}{}{}{}{}{}'.format('', '', '', '', '', m[0]) }}",
        "{{ '%s%s%s%s%s%s' % ('', '', '', '', '', m[0]) }}",
        "{{ m[0] | replace('a', 'bc') }}",
        "{{ m[0].replace('a', '') }}",
        "{{ m | join('\n') | indent(4) }}",
        "{{ '\n'.join(m) | wordwrap(80) }}",
        "{{ '{} {:>3}'.format(1700000000000, 5) }}",
        "{{ m ~ m[0] }}",
    ],
)
def test_a_long_conversation_has_room(source: str) -> None:
    text = "a " * 100_000
    assert ChatTemplate(source).render({"m": [text, "b"]}, RenderingBudget(len(text), 4 * len(text)))


@pytest.mark.parametrize("thinking", [None, True, False])
async def test_a_prompt_is_what_mlx_lm_makes_of_the_conversation(tiny: ModelInfo, thinking: bool | None) -> None:
    async with engine_of(tiny) as engine:
        model: TextModel = engine._renderer._model  # pyright: ignore[reportPrivateUsage]
        tools = (ToolSpec(name="add", description="Add."),)
        rendered = render(ChatRequest(prompt("Hello", "Be brief."), tools=tools, thinking=thinking), model)
        switch = {} if thinking is None else {"enable_thinking": thinking}
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
        expected = model.tokenizer.apply_chat_template(
            messages, tools=[tool.openai() for tool in tools], add_generation_prompt=True, **switch
        )
        assert rendered.tokens == expected


TEXTS = (
    "word " * 20_000,
    "It's a test, don't you think?\n\n  12 345 yes " * 2000,
    "naïve 你好 world of\n\tcode x=1 " * 3000,
)


@pytest.mark.parametrize("text", TEXTS, ids=["words", "prose", "mixed"])
async def test_a_long_text_in_pieces_has_the_ids_of_the_whole(tiny: ModelInfo, text: str) -> None:
    async with engine_of(tiny) as engine:
        model = replace(engine._renderer._model, context_length=None)  # pyright: ignore[reportPrivateUsage]
        assert model.pieces
        assert len(text) > 3 * PIECE
        pieces = render(ChatRequest((), prompt=text), model)
        assert pieces.tokens == model.encode(text)


async def test_nothing_that_fits_is_refused_by_its_size(tiny: ModelInfo) -> None:
    async with engine_of(tiny) as engine:
        model: TextModel = engine._renderer._model  # pyright: ignore[reportPrivateUsage]
        assert model.longest_token is not None
        vocabulary: dict[str, int] = model.tokenizer.get_vocab()
        longest = model.tokenizer.decode([max(vocabulary.items(), key=lambda entry: len(entry[0]))[1]])
        for text in (longest * 3000, "e\u0301" * 1000, "\U0001f600" * 1000):
            tokens = model.encode(text)
            fitting = replace(model, context_length=len(tokens) + 1, pieces=False)
            assert render(ChatRequest((), prompt=text), fitting).tokens == tokens


@pytest.mark.parametrize("pieces", [True, False])
async def test_a_text_beyond_the_window_is_refused_without_being_tokenized_to_its_end(
    tiny: ModelInfo, monkeypatch: pytest.MonkeyPatch, pieces: bool
) -> None:
    async with engine_of(tiny) as engine:
        model = replace(engine._renderer._model, pieces=pieces)  # pyright: ignore[reportPrivateUsage]
        seen = [0]
        sound = TextModel.encode

        def counted(self: TextModel, text: str, **options: bool) -> list[int]:
            seen[0] += len(text)
            return sound(self, text, **options)

        monkeypatch.setattr(TextModel, "encode", counted)
        longest = model.longest_token or 0
        for count in (1_000_000, 4096 * longest // 5 - 100):
            with pytest.raises(ContextLengthError, match="context window of 4096 tokens"):
                render(ChatRequest((), prompt="word " * count), model)
        assert seen[0] <= (2 * PIECE if pieces else 4096 * longest)


@pytest.mark.parametrize(
    ("changed", "certain"),
    [
        ({}, True),
        ({"normalizer": {"type": "Strip", "strip_left": True, "strip_right": True}}, False),
        ({"normalizer": {"type": "Replace", "pattern": {"Regex": " +"}, "content": " "}}, False),
        ({"pre_tokenizer": {"type": "Whitespace"}}, False),
        ({"pre_tokenizer": None}, False),
        ({"model": {"type": "WordLevel", "vocab": {"abc": 0}, "unk_token": "abc"}}, False),
        ({"added": {"rstrip": True}}, False),
    ],
)
def test_a_tokenizer_that_may_drop_text_gives_no_certain_bound(tiny: ModelInfo, changed: Json, certain: bool) -> None:
    described = json.loads((tiny.path / "tokenizer.json").read_text())
    if "added" in changed:
        described["added_tokens"][0] |= changed["added"]
    else:
        described |= changed
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(described)))
    assert (longest_token(tokenizer) is not None) == certain
    if not certain:
        assert not cut_between_words(tokenizer)


def test_a_text_is_cut_between_words_only() -> None:
    assert [found.start() for found in CUT.finditer("a b  c\nd e1 f, g")] == [1, 8]


async def test_a_cancelled_request_leaves_a_tokenizer_that_works_on_and_delays_nobody(
    tiny: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go, sound = threading.Event(), threading.Event(), TextModel.encode
    left = float("inf")

    def stuck(self: TextModel, text: str, **options: bool) -> list[int]:
        if "stuck" in text:
            begun.set()
            assert go.wait(WAIT_S)
        return sound(self, text, **options)

    async with engine_of(tiny) as engine:
        monkeypatch.setattr(TextModel, "encode", stuck)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(ask, engine, "This is stuck.")
                assert await anyio.to_thread.run_sync(begun.wait, WAIT_S)
                assert engine.waiting == 1
                assert (await ask(engine, "Hello")).text
                left = time.monotonic()
                group.cancel_scope.cancel()
            assert time.monotonic() - left < 1
            assert engine.waiting == 0
            assert (await ask(engine, "Hello")).text
        finally:
            go.set()


async def test_a_template_that_loops_on_some_words_fails_those_requests_alone(tiny: ModelInfo, tmp_path: Path) -> None:
    folder = tmp_path / "looping"
    shutil.copytree(tiny.path, folder)
    template = folder / "chat_template.jinja"
    template.write_text("{% if 'loop' in messages[-1].content %}" + LOOPS + "{% endif %}" + template.read_text())
    async with engine_of(replace(tiny, path=folder)) as engine:

        async def failing() -> None:
            with pytest.raises(InvalidRequestError, match="loops without end"):
                await ask(engine, "Please loop.")

        await others_go_on(engine, failing)
