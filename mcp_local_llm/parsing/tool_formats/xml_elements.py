"""Payloads of XML-like elements (R24): `<function=…>` and `<invoke name="…">`.

Qwen3-Coder, Seed and Nemotron 3 write the first form; MiniMax M2, DeepSeek V3.2 and V4, Step 3, Muse and MiniCPM5 write
the second.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from mcp_local_llm.parsing.lenient_json import read_value
from mcp_local_llm.parsing.markup import BAR
from mcp_local_llm.parsing.parsed import PayloadError
from mcp_local_llm.parsing.tool_formats.format import Payload, PayloadReader, Source, skip_space, unframed
from mcp_local_llm.parsing.tool_formats.json_objects import read_object
from mcp_local_llm.values.chat import ToolCall

_CDATA = re.compile(r"\s*<!\[CDATA\[")


@dataclass(frozen=True)
class TagSyntax:
    """The four tags of one format; group 1 of an opening tag is the name, group 2 of a parameter its `string` flag."""

    function_open: str
    function_close: str
    parameter_open: str
    parameter_close: str
    function: re.Pattern[str] = field(init=False)
    parameter: re.Pattern[str] = field(init=False)
    any_tag: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "function", re.compile(self.function_open))
        object.__setattr__(self, "parameter", re.compile(self.parameter_open))
        any_tag = (
            self.function_open,
            self.parameter_open,
            re.escape(self.function_close),
            re.escape(self.parameter_close),
        )
        object.__setattr__(self, "any_tag", re.compile("|".join(any_tag)))


EQUALS = TagSyntax(
    function_open=r"<function=[ \t]*[\"']?([^<>\n\"']+?)[\"']?[ \t]*>",
    function_close="</function>",
    parameter_open=r"<parameter=[ \t]*[\"']?([^<>\n\"']+?)[\"']?[ \t]*>",
    parameter_close="</parameter>",
)


def _invoke(space: str, function: str = "invoke", parameter: str = "parameter") -> TagSyntax:
    name = r"[ \t]+name[ \t]*=[ \t]*[\"']?([^<>\n\"']+)[\"']?"
    return TagSyntax(
        function_open=rf"<{space}{function}{name}[ \t]*>",
        function_close=f"</{space}{function}>",
        parameter_open=rf"<{space}{parameter}{name}(?:[ \t]+string=\"(true|false)\")?[ \t]*>",
        parameter_close=f"</{space}{parameter}>",
    )


def element_reader(syntax: TagSyntax) -> PayloadReader:
    """Return the payload reader for the tags of one format."""

    def read(source: Source, position: int) -> Payload | None:
        opening = syntax.function.match(source.text, position)
        return _Element(source, syntax, opening).read() if opening else None

    return read


read_function = element_reader(EQUALS)
read_invoke = element_reader(_invoke(""))
read_dsml_invoke = element_reader(_invoke(f"{BAR}DSML{BAR}"))
read_step_invoke = element_reader(_invoke("steptml:"))
read_atem_invoke = element_reader(_invoke("atem:"))
read_minicpm5 = element_reader(_invoke("", "function", "param"))


class _Element:
    """One function element while it is read."""

    def __init__(self, source: Source, syntax: TagSyntax, opening: re.Match[str]) -> None:
        self._source = source
        self._syntax = syntax
        self._name = opening[1].strip()
        self._start = opening.end()
        self._arguments: dict[str, Any] = {}

    def read(self) -> Payload | None:
        text, syntax = self._source.text, self._syntax
        position = skip_space(text, self._start)
        if text.startswith("{", position):
            # Llama's form: JSON for a body. Its end is the payload's end (R16), with or without the closing tag.
            self._arguments, position = read_object(self._source, position)
            return self._payload(position)
        if not self._continues(position):
            return None  # a mention of the tag (R15)
        while not text.startswith(syntax.function_close, position):
            if self._source.closer and text.startswith(self._source.closer, position):
                return self._payload(position)
            opening = syntax.parameter.match(text, position)
            if opening is None:
                raise PayloadError(position, cut=position == len(text) or self._opens_cut(position))
            position = skip_space(text, self._value(opening))
        return self._payload(position + len(syntax.function_close))

    def _payload(self, end: int) -> Payload:
        return Payload((ToolCall(name=self._name, arguments=self._arguments),), end)

    def _continues(self, position: int) -> bool:
        """Say whether a parameter, the closing tag, or the beginning of one at the end of the text stands here."""
        text = self._source.text
        return (
            text.startswith(self._syntax.function_close, position)
            or self._syntax.parameter.match(text, position) is not None
            or position == len(text)
            or self._opens_cut(position)
        )

    def _opens_cut(self, position: int) -> bool:
        """Say whether the text ends within a tag that begins here."""
        rest = self._source.text[position:] if len(self._source.text) - position < 200 else ""
        return rest.startswith("<") and ">" not in rest

    def _value(self, opening: re.Match[str]) -> int:
        """Store the value after an opening parameter tag; return where the next tag may begin."""
        quoted = _CDATA.match(self._source.text, opening.end())
        if quoted is not None:
            end, after = self._quoted_end(quoted.end())
            raw = self._source.text[quoted.end() : end].replace("\r\n", "\n")
        else:
            end, after = self._value_end(opening[1].strip(), opening.end())
            raw = unframed(self._source.text[opening.end() : end])
        flag = opening[2] if opening.re.groups > 1 else None
        self._arguments[opening[1].strip()] = self._typed(opening[1].strip(), raw, flag)
        return after

    def _quoted_end(self, start: int) -> tuple[int, int]:
        """Return where a value in a CDATA section ends, and where the tag behind it does."""
        end = re.compile(rf"\]\]>\s*{re.escape(self._syntax.parameter_close)}").search(self._source.text, start)
        if end is None:
            raise PayloadError(len(self._source.text), cut=True)
        return end.start(), end.end()

    def _typed(self, parameter: str, raw: str, flag: str | None) -> Any:
        """Type a value by DeepSeek's own flag, else by the schema (R24)."""
        if flag == "true":
            return raw
        if flag == "false":
            try:
                # A blank after it lets a number end before the text does.
                value, end = read_value(raw.strip() + " ", 0)
            except PayloadError:
                return raw
            return value if end == len(raw.strip()) else raw
        return self._source.tools.typed(self._name, parameter, raw)

    def _value_end(self, parameter: str, start: int) -> tuple[int, int]:
        """Return where a value ends and where its closing tag does.

        A closing tag counts when markup follows it; function elements inside the value are counted in and out.
        """
        text, syntax, depth = self._source.text, self._syntax, 0
        for tag in syntax.any_tag.finditer(text, start):
            if tag[0] == syntax.function_close:
                depth = max(0, depth - 1)
            elif tag[0] == syntax.parameter_close:
                if depth == 0 and self._markup_follows(tag.end()):
                    return tag.start(), tag.end()
            elif syntax.function.fullmatch(tag[0]):
                depth += self._is_element(tag.end())
            elif depth == 0 and self._starts_next(parameter, tag):
                return tag.start(), tag.start()
        raise PayloadError(len(text), cut=True)

    def _markup_follows(self, position: int) -> bool:
        position = skip_space(self._source.text, position)
        closer = self._source.closer
        return self._continues(position) or (closer != "" and self._source.text.startswith(closer, position))

    def _is_element(self, position: int) -> bool:
        """Say whether the function tag that ends here opens an element rather than being mentioned."""
        position = skip_space(self._source.text, position)
        return self._source.text.startswith("{", position) or self._continues(position)

    def _starts_next(self, parameter: str, tag: re.Match[str]) -> bool:
        """Say whether a parameter tag shows that the closing tag before it was forgotten.

        Only at a line start, and for a parameter of this function that has no value yet: anything else is data.
        """
        opening = self._syntax.parameter.fullmatch(tag[0])
        name = opening[1].strip() if opening else parameter
        fresh = name != parameter and name not in self._arguments
        return fresh and self._source.text[tag.start() - 1] == "\n" and self._source.tools.declares(self._name, name)
