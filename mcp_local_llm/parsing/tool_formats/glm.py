"""GLM 4.5 and later: a name, then `<arg_key>` and `<arg_value>` pairs; the closer says that no pair is missing."""

import re
from typing import Any

from mcp_local_llm.parsing.parsed import PayloadError
from mcp_local_llm.parsing.tool_formats.format import NAME, Payload, Source, broken, skip_space
from mcp_local_llm.values.chat import ToolCall

_NAME = re.compile(rf"({NAME})\s*(?=<arg_key>|</tool_call>|<tool_call>)")
_KEY = re.compile(r"<arg_key>([^<]*)</arg_key>\s*<arg_value>")
_VALUE_TAG = re.compile(r"</?arg_value>")
_CUT_KEY = re.compile(r"<arg_key>[^<]*(?:</arg_key>\s*|</?[a-z_]*|</arg_key>\s*<[a-z_]*)?\Z")
_OPENER = "<tool_call>"


def read_glm(source: Source, position: int) -> Payload | None:
    """Read one call, up to the closer or the next opener (R17)."""
    text = source.text
    named = _NAME.match(text, position)
    if named is None:
        return None
    name, position = named[1], named.end()
    arguments: dict[str, Any] = {}
    while not text.startswith((source.closer, _OPENER), position):
        key = _KEY.match(text, position)
        if key is None:
            cut = len(text) - position < 400 and _CUT_KEY.match(text, position)
            raise PayloadError(len(text), cut=True) if cut else broken(text, position, source.closer, "<arg_key>")
        end, position = _value_end(source, key.end())
        raw = text[key.end() : end].removeprefix("\n").removesuffix("\n")
        arguments[key[1].strip()] = source.tools.typed(name, key[1].strip(), raw)
        position = skip_space(text, position)
    # A bare word between the tags is a call only of a known tool.
    if not arguments and not source.tools.knows(name):
        return None
    return Payload((ToolCall(name=name, arguments=arguments),), position)


def _value_end(source: Source, start: int) -> tuple[int, int]:
    """Return where a value ends and where its tag does; pairs inside the value, as in an example, are data."""
    depth = 0
    for tag in _VALUE_TAG.finditer(source.text, start):
        if tag[0] == "<arg_value>":
            depth += 1
            continue
        after = skip_space(source.text, tag.end())
        follows = after == len(source.text) or source.text.startswith(("<arg_key>", source.closer, _OPENER), after)
        if depth == 0 and follows:
            return tag.start(), tag.end()
        depth = max(0, depth - 1)
    raise PayloadError(len(source.text), cut=True)
