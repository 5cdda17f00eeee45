"""Payloads of a name and the JSON object of its arguments: DeepSeek, Kimi K2, Mistral, Solar Open, PLaMo 3."""

import re

from mcp_local_llm.parsing.markup import BAR
from mcp_local_llm.parsing.parsed import PayloadError
from mcp_local_llm.parsing.tool_formats.format import NAME, Payload, PayloadReader, Source, skip_space
from mcp_local_llm.parsing.tool_formats.json_objects import read_object
from mcp_local_llm.values.chat import ToolCall

# V3 and R1 write the kind of the call first and a fence around the JSON; V3.1 begins with the name.
_DEEPSEEK = re.compile(
    rf"<{BAR}tool▁call▁begin{BAR}>\s*([^\s<]+)\s*<{BAR}tool▁sep{BAR}>\s*(?:([^\s<{{`]+)\s*)?(?=[{{`])"
)
_KIMI = re.compile(r"<\|tool_call_begin\|>\s*([^\s<{]+)\s*<\|tool_call_argument_begin\|>()")
_SOLAR_OPEN = re.compile(r"<\|tool_call:begin\|>[^<]*<\|tool_call:name\|>\s*([^\s<{]+)\s*<\|tool_call:args\|>()")
_PLAMO = re.compile(
    r"<\|plamo:begin_tool_request:plamo\|>\s*<\|plamo:begin_tool_name:plamo\|>\s*([^\s<{]+)\s*"
    r"<\|plamo:end_tool_name:plamo\|>\s*<\|plamo:begin_tool_arguments:plamo\|>"
    r"(?:<\|plamo:constrain\|>json)?(?:<\|plamo:msg\|>)?()"
)
_KIMI_ID = re.compile(r"(?:functions\.)?(.+?)(?::\d+)?")
_MISTRAL = re.compile(rf"({NAME})\s*(?:\[CALL_ID\]\s*\w*\s*)?(?:\[ARGS\]\s*)?(?=\{{)")
_MISTRAL_CUT = re.compile(rf"{NAME}\s*(?:\[(?:CALL_ID|ARGS)\][^{{]*)?\Z")


def _named_reader(header: re.Pattern[str], opener: str, *terminators: str) -> PayloadReader:
    """Return a reader for `header`, arguments, and terminators that may be missing (R17)."""

    def read(source: Source, position: int) -> Payload | None:
        text = source.text
        if not text.startswith(opener, position):
            return None
        match = header.match(text, position)
        if match is None:
            rest = text[position + len(opener) :] if len(text) - position < 400 else "\n{"
            raise PayloadError(position, cut="{" not in rest)
        arguments, end = read_object(Source(text, terminators[0], source.tools), match.end())
        for terminator in terminators:
            after = skip_space(text, end)
            end = after + len(terminator) if text.startswith(terminator, after) else end
        return Payload((ToolCall(name=_known_name(source, match[2] or match[1]), arguments=arguments),), end)

    return read


def _known_name(source: Source, written: str) -> str:
    """Turn Kimi's id `functions.NAME:INDEX` into the name, unless a tool is called just so."""
    match = _KIMI_ID.fullmatch(written)
    return written if source.tools.knows(written) or match is None else match[1]


read_deepseek = _named_reader(_DEEPSEEK, f"<{BAR}tool▁call▁begin{BAR}>", f"<{BAR}tool▁call▁end{BAR}>")
read_kimi = _named_reader(_KIMI, "<|tool_call_begin|>", "<|tool_call_end|>")
read_solar_open = _named_reader(_SOLAR_OPEN, "<|tool_call:begin|>", "<|tool_call:end|>")
read_plamo = _named_reader(
    _PLAMO,
    "<|plamo:begin_tool_request:plamo|>",
    "<|plamo:end_tool_arguments:plamo|>",
    "<|plamo:end_tool_request:plamo|>",
)


def read_mistral(source: Source, position: int) -> Payload | None:
    """Read `name{…}` or `name[ARGS]{…}`, with an optional call id between them."""
    match = _MISTRAL.match(source.text, position)
    if match is None:
        if len(source.text) - position < 400 and _MISTRAL_CUT.match(source.text, position):
            raise PayloadError(len(source.text), cut=True)
        return None
    arguments, end = read_object(source, match.end())
    return Payload((ToolCall(name=match[1], arguments=arguments),), end)
