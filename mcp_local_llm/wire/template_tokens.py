"""Breaks up the tokens of chat templates in text for servers that tokenize a rendered prompt as a whole. Pure."""

import re

BREAK = "\u200b"
"""Zero width space: invisible, and part of no token of a template."""

_NAMES = "|".join(
    (
        r"[be]os|pad|unk|mask|cls|sep|s|eod|eot|eom|sop|eop|(?:BOS|EOS|PAD|UNK|CLS|SEP|MASK)(?:_TOKEN)?",
        r"endoftext|startoftext|im_(?:start|end)|(?:start|end)_of_[a-z_]+|(?:start|end)_(?:header|role|turn)[a-z_]*",
        r"think|tool_(?:calls?|responses?|results?|list|outputs?)|function_calls?|function=[^<>\n]{1,200}|SYS",
        r"(?:image|audio|video|vision|img|box|ref|quad)(?:_(?:start|end|pad|token|soft_token))?",
        r"fim_[a-z]+|file_sep|repo_name|reponame|extra_id_\d+|unused\d+|SPECIAL_\d+|reserved_[a-z_]*\d*",
        r"(?:seed|minimax|mask|longcat)[:_][\w:-]+",
    )
)
_TOKENS = re.compile(
    # <|im_start|>, <|turn>, <turn|>, and DeepSeek's, whose bars are wide
    r"<(?=/?[|\uff5c][^<>\n]{0,80}>)|<(?=/?[^<>\s|\uff5c\u200b]{1,80}[|\uff5c]>)"
    # <s>, </s>, <start_of_turn>, <tool_call>, <function=name>, <<SYS>>
    rf"|<(?=/?(?:{_NAMES})/?>)|<(?=</?SYS>>)"
    # [INST], [/INST], [TOOL_CALLS], [gMASK], EXAONE's [|user|], MiniMax's ]~b] and [e~[
    r"|\[(?=/?(?:INST|AVAILABLE_TOOLS|TOOL_(?:CALLS|RESULTS|CONTENT)|SYSTEM_PROMPT|MODEL_SETTINGS|THINK|ARGS|CALL_ID"
    r"|IMG(?:_BREAK|_END)?|PREFIX|SUFFIX|MIDDLE|(?:BEGIN_)?AUDIO|TRANSCRIBE|[gs]?MASK|CLS|SEP|PAD|UNK|BOS|EOS)\])"
    r"|\[(?=[|\uff5c][^\[\]\n]{0,80}[|\uff5c]\])|\](?=~!?b[\[\]])|\](?=~!b\[\])|\[(?=e~\[)"
)


def broken_up(text: str) -> str:
    """Put a zero width space behind the first letter of everything that is a token of a known chat template.

    For servers that tokenize a rendered prompt as a whole: there a file's `<|im_end|>` would end the turn. HTML tags of
    the same name (`<s>`) are changed as well, which a reader does not see.
    """
    return _TOKENS.sub(lambda found: found[0] + BREAK, text)
