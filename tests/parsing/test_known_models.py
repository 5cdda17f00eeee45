"""Answers of models whose tokenizer and template are known: only what they use is markup, and text streams at once."""

from typing import Any

import pytest

from mcp_local_llm.parsing import KNOWN_MARKUP, Markup, OutputStream, TagPair, markup_of_model, parse
from mcp_local_llm.parsing.markup import TAG_PAIRS, THINK
from tests.parsing.corpus import RAW, Case, chunkings
from tests.sweep import sampled

PLAIN = markup_of_model([], lambda literal: False)
"""A model without reasoning."""
THINKING = markup_of_model([THINK], lambda literal: literal in ("<think>", "</think>"))
GPT_OSS = markup_of_model([], lambda literal: literal == "<|channel|>")
HUNYUAN = markup_of_model([THINK], lambda literal: literal in ("<think>", "</think>", "<answer>"))
TALK = (
    "Phi ends a message with <|end|> and starts the next one.",
    "GPT-2 uses <|endoftext|> as separator.",
    "The tag </think> closes the thought, and then the answer comes.",
    "A thought begins with <think> and ends with </think>.",
    "Gemma writes <|channel>thought and <channel|>, gpt-oss <|channel|>analysis<|message|>.",
    "In HTML, <s>this</s> is struck out; Llama 2 ends with </s>",
    "ChatML: <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant",
    "Use [THINK] and [/THINK], or <|START_RESPONSE|>.",
    "<reasoning>is a tag that prompts ask for</reasoning><answer>4</answer>",
)


def shown(raw: str, markup: Markup, *, begun: bool = True, tools: Any = None) -> list[str]:
    """What the stream has shown after each character."""
    stream = OutputStream(think_prefilled=False, tools=tools, markup=markup, answer_begun=begun)
    texts = [""]
    for char in raw:
        texts.append(texts[-1] + "".join(str(text) for kind, text in stream.feed(char) if kind == "text"))
    assert stream.finish().text.startswith(texts[-1])
    return texts[1:]


@pytest.mark.parametrize("markup", [PLAIN, THINKING], ids=["plain", "thinking"])
@pytest.mark.parametrize("answer", TALK)
def test_an_answer_that_talks_about_markup_comes_whole(answer: str, markup: Markup) -> None:
    for begun in (True, False):
        parsed = parse(answer, think_prefilled=False, tools=None, markup=markup, answer_begun=begun)
        assert (parsed.text, parsed.reasoning, parsed.warnings) == (answer, "", ())


def test_an_answer_that_talks_about_markup_comes_whole_behind_a_thought() -> None:
    for answer in TALK[:-1]:
        parsed = parse(f"<think>Hm.</think>\n\n{answer}", think_prefilled=False, tools=None, markup=THINKING)
        assert (parsed.text, parsed.reasoning) == (answer, "Hm.")


@pytest.mark.parametrize("answer", TALK)
def test_it_streams_to_its_end(answer: str) -> None:
    told = f"So. {answer} And so on, to the end."
    assert shown(told, PLAIN)[-1] == told


def test_the_first_text_comes_with_the_first_token() -> None:
    assert [text != "" for text in shown("It is 4.", PLAIN)][:2] == [True, True]
    assert shown("  It is 4.", PLAIN)[2] == "  I"
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert shown("It is 4.", PLAIN, tools=tools)[0] == "I"


def test_tags_and_ends_in_the_middle_do_not_stop_the_stream() -> None:
    told = "One <think> two.\n<think> three </s> four\n```\n</think>\n``` five `<|im_end|>` six."
    assert shown(told, PLAIN)[-1] == told
    assert shown(told, THINKING)[-1] == told
    plan = "<think>plan</think>\n\n" + "word " * 100
    served = shown(f"{plan}A <think> tag, a </s> and so on: {'word ' * 20}", KNOWN_MARKUP, begun=False)
    assert "so on: word word" in served[-1]


def test_a_stray_closer_of_a_server_is_dropped_and_the_stream_goes_on() -> None:
    answer = "word " * 100
    told = shown(f"<think>plan</think>{answer}</think>{answer}end", KNOWN_MARKUP, begun=False)[-1]
    assert told.count("word") > 195
    assert "</think>" not in told


def test_a_thought_that_the_model_opens_itself_is_still_one() -> None:
    parsed = parse("<think>Hm.</think>Four.", think_prefilled=False, tools=None, markup=THINKING, answer_begun=True)
    assert (parsed.text, parsed.reasoning) == ("Four.", "Hm.")
    parsed = parse("[THINK]Hm.[/THINK]Four.", think_prefilled=False, tools=None, markup=PLAIN, answer_begun=True)
    assert (parsed.text, parsed.reasoning) == ("Four.", "Hm.")


def test_a_tag_that_the_model_does_not_use_hides_no_answer() -> None:
    parsed = parse("[THINK] is Magistral's tag.", think_prefilled=False, tools=None, markup=PLAIN, answer_begun=True)
    assert parsed.text == "[THINK] is Magistral's tag."


def test_harmony_is_read_without_tags() -> None:
    raw = "<|channel|>analysis<|message|>I add them.<|end|><|start|>assistant<|channel|>final<|message|>It is 4."
    for markup in (GPT_OSS, PLAIN):
        parsed = parse(raw, think_prefilled=False, tools=None, markup=markup, answer_begun=True)
        assert (parsed.text, parsed.reasoning) == ("It is 4.", "I add them.")
        assert shown(raw, markup)[-1] == "It is 4."


def test_tags_around_an_answer_go_only_where_the_model_writes_them() -> None:
    raw = "<think>Hm.</think><answer>4</answer>"
    texts = [parse(raw, think_prefilled=False, tools=None, markup=markup).text for markup in (THINKING, HUNYUAN)]
    assert texts == ["<answer>4</answer>", "4"]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("    return x\r\n\r\n\tend", "    return x\r\n\r\n\tend"),
        ("<think>Hm.</think>\r\n\r\n    return x\r\n", "    return x"),
        ("\n\n  indented", "\n\n  indented"),
        ("nul \0 stays", "nul \0 stays"),
    ],
)
def test_line_ends_and_indentation_stay_as_they_came(raw: str, text: str) -> None:
    for begun in (True, False):
        assert parse(raw, think_prefilled=False, tools=None, markup=THINKING, answer_begun=begun).text == text


def test_what_a_server_loses_is_told() -> None:
    cut = parse("Phi ends a message with <|end|> and starts the next one.", think_prefilled=False, tools=None)
    assert cut.text == "Phi ends a message with"
    assert ["<|end|>" in warning and "dropped" in warning for warning in cut.warnings] == [True]
    beheaded = parse("The tag </think> closes it.", think_prefilled=False, tools=None)
    assert ["</think>" in warning and "reasoning" in warning for warning in beheaded.warnings] == [True]
    assert parse("It is 4.<|im_end|>", think_prefilled=False, tools=None).warnings == ()


MARKUPS = {
    "plain": PLAIN,
    "thinking": THINKING,
    "gpt-oss": GPT_OSS,
    **{pair.opener: markup_of_model([pair], lambda literal: True) for pair in TAG_PAIRS[-13:]},
    "unknown": KNOWN_MARKUP,
}


def agrees(case: Case, markup: Markup, *, begun: bool) -> None:
    prefilled, tools = case["think_prefilled"], case["tools"]
    whole = parse(case["raw"], think_prefilled=prefilled, tools=tools, markup=markup, answer_begun=begun)
    for number, chunks in enumerate(chunkings(case)):
        if number > 6:
            break
        stream = OutputStream(think_prefilled=prefilled, tools=tools, markup=markup, answer_begun=begun)
        events = [event for chunk in chunks for event in stream.feed(chunk)]
        assert stream.finish() == whole
        for channel, final in (("text", whole.text), ("reasoning", whole.reasoning)):
            assert final.startswith("".join(str(text) for kind, text in events if kind == channel))


@pytest.mark.parametrize("name", MARKUPS)
def test_nothing_that_a_known_model_showed_is_taken_back(name: str) -> None:
    talk = [
        {"id": f"talk-{number}", "raw": f"{text}\n{text}", "tools": None, "think_prefilled": False}
        for number, text in enumerate(TALK)
    ]
    step = list(MARKUPS).index(name)
    for case in [*talk, *RAW[step :: len(MARKUPS)]]:
        for begun in (True, False):
            agrees(case, MARKUPS[name], begun=begun)


@pytest.mark.parametrize("case", sampled(RAW, every=50), ids=lambda case: case["id"])
def test_every_case_streams_alike_for_a_model_without_reasoning(case: Case) -> None:
    agrees(case, PLAIN, begun=True)


def test_the_block_that_a_prompt_opened_is_closed_by_its_own_tag() -> None:
    pair = TagPair("<mm:think>", "</mm:think>")
    parsed = parse("A </think> in it.</mm:think>Four.", think_prefilled=True, tools=None, markup=PLAIN.opened(pair))
    assert (parsed.text, parsed.reasoning) == ("Four.", "A </think> in it.")
