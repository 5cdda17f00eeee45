"""Payloads of a name and pairs of key and value, each in tags: GLM, LongCat, Hy3, K2 Horizon and Solar Open 2.

The closer says that no pair is missing. Hy3 writes a separator behind the name, and JSON instead of pairs at times.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from mcp_local_llm.parsing.parsed import PayloadError
from mcp_local_llm.parsing.tool_formats.format import NAME, Payload, PayloadReader, Source, broken, skip_space, unframed
from mcp_local_llm.parsing.tool_formats.json_objects import read_json, read_object
from mcp_local_llm.values.chat import ToolCall


@dataclass(frozen=True)
class PairSyntax:
    """The tags of one format.

    Attributes:
        opener, closer: around one call.
        key, value, end: before a key, between it and its value (of which a model may forget the second tag), after it.
        kind: the tags around the type of a value, which some models write between the two.
        separator: behind the name.
    """

    opener: str
    closer: str
    key: str
    value: tuple[str, str]
    end: str
    kind: tuple[str, str] = ("", "")
    separator: str = ""
    name_end: re.Pattern[str] = field(init=False)
    pair: re.Pattern[str] = field(init=False)
    value_tag: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        key, opener, closer, end = (re.escape(tag) for tag in (self.key, self.opener, self.closer, self.end))
        key_end, value = (re.escape(tag) for tag in self.value)
        after = re.escape(self.separator)
        separator = rf"(?P<separator>\s*{after})?" if after else "(?P<separator>)"
        name = rf"({NAME}){separator}\s*(?=(?P<next>{key}|{closer}|{opener}|\{{))"
        kind = rf"(?:{re.escape(self.kind[0])}(?P<kind>[^<]*){re.escape(self.kind[1])}\s*)?" if self.kind[0] else ""
        optional = rf"(?:{value}|(?![\s<]))" if key_end else value
        object.__setattr__(self, "name_end", re.compile(name))
        object.__setattr__(self, "pair", re.compile(rf"{key}(?P<key>[^<]*){key_end}\s*{kind}{optional}"))
        object.__setattr__(self, "value_tag", re.compile(f"{value}|{end}"))


def tag_pairs(prefix: str = "", suffix: str = "", *, separator: bool = False) -> PairSyntax:
    """Return GLM's tags with something before or behind each name, as its relatives write them."""

    def tags(name: str) -> tuple[str, str]:
        return f"<{prefix}{name}{suffix}>", f"</{prefix}{name}{suffix}>"

    (opener, closer), (key, key_end), (value, end) = tags("tool_call"), tags("arg_key"), tags("arg_value")
    after = f"<{prefix}tool_sep{suffix}>" if separator else ""
    return PairSyntax(opener, closer, key, (key_end, value), end, tags("arg_type"), after)


def pairs_reader(syntax: PairSyntax) -> PayloadReader:
    """Return the reader of one call; its opener may stand before it, where an outer element holds several calls."""

    def read(source: Source, position: int) -> Payload | None:
        if not source.text.startswith(syntax.opener, position) or source.closer == syntax.closer:
            return _read(source, position, syntax)
        start = skip_space(source.text, position + len(syntax.opener))
        inner = Source(source.text, syntax.closer, source.tools, source.explicit)
        payload = read_json(inner, start) or _read(inner, start, syntax)
        if payload is None:
            return None
        after = skip_space(source.text, payload.end)
        closed = source.text.startswith(syntax.closer, after)
        return Payload(payload.calls, after + len(syntax.closer) if closed else payload.end)

    return read


def _read(source: Source, position: int, syntax: PairSyntax) -> Payload | None:
    """Read one call, up to the closer or the next opener (R17)."""
    text = source.text
    named = syntax.name_end.match(text, position)
    if named is None or (named["next"] == "{" and not named["separator"]):
        return None
    name, position = named[1], named.end()
    if named["next"] == "{":
        arguments, end = read_object(Source(text, syntax.closer, source.tools), position)
        return Payload((ToolCall(name=name, arguments=arguments),), end)
    arguments: dict[str, Any] = {}
    while not text.startswith((syntax.closer, syntax.opener), position):
        pair = syntax.pair.match(text, position)
        if pair is None:
            raise _unreadable(source, position, syntax)
        end, position = _value_end(source, pair.end(), syntax)
        raw = unframed(text[pair.end() : end])
        kind = pair["kind"] if syntax.kind[0] else None
        arguments[pair["key"].strip()] = source.tools.typed(name, pair["key"].strip(), raw, kind)
        position = skip_space(text, position)
    # A bare word between the tags is a call only of a known tool.
    if not arguments and not source.tools.knows(name):
        return None
    return Payload((ToolCall(name=name, arguments=arguments),), position)


def _unreadable(source: Source, position: int, syntax: PairSyntax) -> PayloadError:
    """Return the error for text where a pair, the closer or the beginning of one should be."""
    rest = source.text[position : position + 400]
    cut = position + len(rest) == len(source.text) and rest.startswith(syntax.key)
    if cut and syntax.end not in rest:
        return PayloadError(len(source.text), cut=True)
    return broken(source.text, position, syntax.closer, syntax.key)


def _value_end(source: Source, start: int, syntax: PairSyntax) -> tuple[int, int]:
    """Return where a value ends and where its tag does; pairs inside the value, as in an example, are data."""
    depth = 0
    for tag in syntax.value_tag.finditer(source.text, start):
        if tag[0] != syntax.end:
            depth += 1
            continue
        after = skip_space(source.text, tag.end())
        follows = after == len(source.text) or source.text.startswith((syntax.key, syntax.closer, syntax.opener), after)
        if depth == 0 and follows:
            return tag.start(), tag.end()
        depth = max(0, depth - 1)
    raise PayloadError(len(source.text), cut=True)


GLM = tag_pairs(separator=True)
HY3 = tag_pairs(suffix=":opensource", separator=True)
LONGCAT = PairSyntax(
    "<longcat_tool_call>",
    "</longcat_tool_call>",
    "<longcat_arg_key>",
    ("</longcat_arg_key>", "<longcat_arg_value>"),
    "</longcat_arg_value>",
)
K2_HORIZON = tag_pairs("ifm|")
SOLAR_OPEN2 = PairSyntax(
    "<|tool_call:start|>", "<|tool_call:end|>", "<|tool_arg:start|>", ("", "<|tool_arg:value|>"), "<|tool_arg:end|>"
)

read_glm = pairs_reader(GLM)
read_hy3 = pairs_reader(HY3)
read_longcat = pairs_reader(LONGCAT)
read_k2_horizon = pairs_reader(K2_HORIZON)
read_solar_open2 = pairs_reader(SOLAR_OPEN2)
