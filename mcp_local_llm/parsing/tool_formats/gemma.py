"""Gemma's function calls: `call:NAME{key:value}`, with a token of its own as the quotation mark."""

import re

from mcp_local_llm.parsing.lenient_json import JsonVariant, read_value
from mcp_local_llm.parsing.parsed import PayloadError
from mcp_local_llm.parsing.tool_formats.format import NAME, Payload, PayloadReader, Source
from mcp_local_llm.values.chat import ToolCall

_CALL = re.compile(rf"call:\s*({NAME.replace(':', '')})\s*(?=\{{)")
_CUT = re.compile(r"c(?:a(?:l(?:l(?::[^{\n]*)?)?)?)?\Z")


def gemma_reader(quote: str) -> PayloadReader:
    """Return the reader for one quotation mark."""

    def read(source: Source, position: int) -> Payload | None:
        match = _CALL.match(source.text, position)
        if match is None:
            if len(source.text) - position < 200 and _CUT.match(source.text, position):
                raise PayloadError(len(source.text), cut=True)
            return None
        value, end = read_value(source.text, match.end(), JsonVariant(closer=source.closer, quote=quote))
        return Payload((ToolCall(name=match[1], arguments=value),), end)

    return read


read_gemma4 = gemma_reader('<|"|>')
read_function_gemma = gemma_reader("<escape>")
