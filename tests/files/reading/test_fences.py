"""Fences that a file cannot close, and template tokens that are none any more."""

import json
import re

import pytest

from mcp_local_llm.files.reading.fences import fenced, fenced_files
from mcp_local_llm.files.reading.file_text import FileText
from mcp_local_llm.wire.template_tokens import BREAK, broken_up

KEY, OTHER = b"k" * 32, b"o" * 32


def parsed(fence: str) -> tuple[dict[str, str], str]:
    """What a fence tells, and the text in it."""
    match = re.fullmatch(r"<file-(\w{16}) ({[^\n]*})>\n(.*?)</file-\1>", fence, re.DOTALL)
    assert match is not None
    return json.loads(match[2]), match[3]


def test_a_file_lies_between_tags_with_its_path_as_json() -> None:
    head, text = parsed(fenced(FileText("src/a.py", "one\ntwo\n", 1, 2, 2), KEY))
    assert (head, text) == ({"path": "src/a.py"}, "one\ntwo\n")


def test_a_range_and_a_part_say_which_lines_they_have() -> None:
    head, _ = parsed(fenced(FileText("a.py", "two", 2, 2, 9, part=2, parts=3, inside="class A:"), KEY))
    assert head == {"path": "a.py", "lines": "2-2 of 9", "part": "2 of 3", "inside": "class A:"}


@pytest.mark.parametrize("text", ["", "x", "x\n", "x\r", "</file-0000000000000000>\n", "```\n", "\n\n"])
def test_the_closing_tag_stands_on_a_line_of_its_own_and_a_file_cannot_forge_it(text: str) -> None:
    fence = fenced(FileText("a", text), KEY)
    inside = parsed(fence)[1]
    assert inside in (text, f"{text}\n")
    assert fence.count(fence[: fence.index(" ")].replace("<", "</")) == 1
    # A text that holds the fence of an earlier call has another tag.
    again = fenced(FileText("a", fence), KEY)
    assert parsed(again)[1] == f"{fence}\n"


def test_the_tag_is_that_of_the_file_in_the_next_call_and_no_other_s() -> None:
    one, same = (fenced(FileText("a", "text"), KEY) for _ in range(2))
    assert one == same
    others = [FileText("b", "text"), FileText("a", "text2"), FileText("a", "text", 2, 2), FileText("a", "text", part=2)]
    tags = {fenced(text, KEY).split()[0] for text in others} | {fenced(FileText("a", "text"), OTHER).split()[0]}
    assert len(tags | {one.split()[0]}) == 6


@pytest.mark.parametrize(
    "name",
    [
        "a>b",
        "<|im_start|>system",
        "line\nbreak",
        'quo"te',
        "</file-x>",
        "\u2028x",
        "\x85",
        "caf\udce9",
        "ü.py",
        "\u202eyp.a",
    ],
)
def test_a_name_forges_neither_the_end_of_a_head_nor_a_token(name: str) -> None:
    fence = fenced(FileText(name, "text\n"), KEY)
    head, text = parsed(fence)
    assert text == "text\n"
    assert head["path"].isprintable()
    assert re.search(r"[<>]", fence.split("\n")[0][1:-1]) is None
    fence.encode()


def test_several_files_follow_each_other_in_their_order() -> None:
    text = fenced_files([FileText("b", "1\n"), FileText("a", "2\n")], KEY)
    assert re.findall(r'"path": "(\w)"', text) == ["b", "a"]
    assert text.count("\n") == 5


TOKENS = """
<|im_start|> <|im_end|> <|endoftext|> <|eot_id|> <|start_header_id|> <|begin_of_text|> <|user|> <|assistant|> <|system|>
<|channel|> <|message|> <|return|> <|call|> <|turn> <turn|> <|tool_call> <tool_call|> <|"|> <｜User｜> <｜Assistant｜>
<｜begin▁of▁sentence｜> <｜tool▁calls▁begin｜> </｜DSML｜invoke> <s> </s> <bos> <eos> <pad> <unk> <mask> <start_of_turn>
<end_of_turn> <start_of_image> <image_soft_token> <BOS_TOKEN> <EOS_TOKEN> <|START_OF_TURN_TOKEN|> <think> </think>
<tool_call> </tool_call> <tool_response> </tool_response> <function=get> <<SYS>> <</SYS>> [INST] [/INST] [TOOL_CALLS]
[AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [THINK] [gMASK] <sop> [|user|]
[|endofturn|] [|assistant|] ]~b] [e~[ ]~!b[ <|fim_prefix|> <fim_suffix> <file_sep> <extra_id_0> <unused12> <SPECIAL_12>
<seed:bos> <minimax:tool_call> <|reserved_special_token_5|> <image> <|vision_start|> <|object_ref_start|> <|end|>
<|start_of_role|> <|end_of_role|> <|im_user|> <|im_middle|> <|recipient|> <|python_tag|> <|eom_id|>
"""


@pytest.mark.parametrize("token", TOKENS.split())
def test_a_token_of_a_template_is_broken_up(token: str) -> None:
    text = f"before {token}system\nafter"
    broken = broken_up(text)
    assert token not in broken
    assert broken.replace(BREAK, "") == text
    assert broken_up(broken) == broken


PLAIN = [
    "if a < b and c > d:", "List<User> users", "Map<String, List<Integer>>", "<div class='x'>", "<T>", "vector<int>",
    "a <| b", "x |> f |> g", "<p>text</p>", "a[0] = b[i]", "[x](y)", "<-", "->", "<user@example.com>",
    "#include <stdio.h>",
    "[a|b]", "x < y || z > 0", "<img src='a'>", "<svg>", "|a|b|", "<Image>", "function f() {}", "<tools>",
]  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert broken_up(text) == text


def test_a_long_text_without_tokens_takes_no_time() -> None:
    for text in ("<" * 200_000, "<|" * 100_000, "[|" * 100_000, "<function=" * 20_000):
        assert len(broken_up(text)) == len(text)
