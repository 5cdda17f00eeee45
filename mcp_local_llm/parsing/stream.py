"""The same result from chunks, and early output where it can never be taken back (R27 to R29).

`finish` hands the joined text to the whole-text parser, so it can't differ from it. What `feed` shows early is
decided in `early`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mcp_local_llm.parsing.markup_scanner import KNOWN_MARKUP, Markup
from mcp_local_llm.parsing.parsed import Channel, Parsed, StreamEvent
from mcp_local_llm.parsing.parser import parse
from mcp_local_llm.parsing.streaming import EarlyOutput


class OutputStream:
    """One answer as it arrives.

    Attributes:
        channel: where the answer is now, for a progress display; a good guess until `finish`.
    """

    def __init__(
        self,
        *,
        think_prefilled: bool,
        tools: Sequence[Mapping[str, Any]] | None,
        markup: Markup = KNOWN_MARKUP,
    ) -> None:
        self._markup = markup
        self._think_prefilled = think_prefilled
        self._tools = tools
        self._chunks: list[str] = []
        self._early = EarlyOutput(think_prefilled=think_prefilled, tools_offered=bool(tools), markup=markup)

    @property
    def channel(self) -> Channel:
        """The channel that the answer is in."""
        return self._early.channel

    def feed(self, chunk: str) -> list[StreamEvent]:
        """Take the next piece of raw output; return what can be shown for certain."""
        self._chunks.append(chunk)
        return self._early.feed(chunk)

    def finish(self) -> Parsed:
        """Return what `parse` returns for all chunks together."""
        raw = "".join(self._chunks)
        return parse(raw, think_prefilled=self._think_prefilled, tools=self._tools, markup=self._markup)
