"""Splits the raw output of a model into text, reasoning and tool calls. It must not know engines, wires or doors.

    parse            one whole answer
    OutputStream     the same from chunks; shows the text that no later chunk can change
    parse_message    an assistant message of an OpenAI- or Ollama-style server

Five principles decide where formats collide, in this order: never return a call that the model did not make, or a
shortened one; never lose answer text; never leak reasoning; recover what is unambiguous; a stream's result equals
the whole text's. Rule numbers (R1 to R31) stand in comments beside the code that keeps them.
"""

from mcp_local_llm.parsing.markup import TagPair
from mcp_local_llm.parsing.markup_scanner import KNOWN_MARKUP, Markup, markup_of, markup_of_model
from mcp_local_llm.parsing.parsed import Channel, Parsed, StreamEvent
from mcp_local_llm.parsing.parser import parse
from mcp_local_llm.parsing.server_messages import parse_message
from mcp_local_llm.parsing.streaming import OutputStream

__all__ = [
    "KNOWN_MARKUP",
    "Channel",
    "Markup",
    "OutputStream",
    "Parsed",
    "StreamEvent",
    "TagPair",
    "markup_of",
    "markup_of_model",
    "parse",
    "parse_message",
]
