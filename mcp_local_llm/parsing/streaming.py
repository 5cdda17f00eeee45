"""One answer as it arrives: shows the text that no continuation can change (R28), and parses the whole at the end.

`certain_output.py` finds the text that can be shown.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mcp_local_llm.parsing.certain_output import CertainOutput
from mcp_local_llm.parsing.markup_scanner import KNOWN_MARKUP, Markup
from mcp_local_llm.parsing.parsed import Channel, Parsed, StreamEvent
from mcp_local_llm.parsing.parser import parse


class OutputStream:
    """One answer as it arrives; for the arguments see `parse`."""

    def __init__(
        self,
        *,
        think_prefilled: bool,
        tools: Sequence[Mapping[str, Any]] | None,
        markup: Markup = KNOWN_MARKUP,
        answer_begun: bool = False,
    ) -> None:
        self._markup = markup
        self._think_prefilled = think_prefilled
        self._answer_begun = answer_begun
        self._tools = tools
        self._chunks: list[str] = []
        self._certain = CertainOutput(
            think_prefilled=think_prefilled, tools_offered=bool(tools), markup=markup, answer_begun=answer_begun
        )

    @property
    def channel(self) -> Channel:
        """The channel of the text that arrives now, for a progress display; may be wrong until `finish`."""
        return self._certain.channel

    def feed(self, chunk: str) -> list[StreamEvent]:
        """Take the next piece of raw output; return what can be shown for certain."""
        self._chunks.append(chunk)
        return self._certain.feed(chunk)

    def finish(self) -> Parsed:
        """Return what `parse` returns for all chunks together."""
        return parse(
            "".join(self._chunks),
            think_prefilled=self._think_prefilled,
            tools=self._tools,
            markup=self._markup,
            answer_begun=self._answer_begun,
        )
