"""What `tiny` can say: the scripted dialogues it must reproduce, the random ones it learns from, and the held-out ones.

Pure data. It knows no tokenizer and no model.
"""

from training.dialogues.generated import copies, echoes, fallbacks, gibberish, with_strange_system_prompts
from training.dialogues.held_out import held_out
from training.dialogues.long_thoughts import LONG_THOUGHTS
from training.dialogues.scripted import FALLBACK, SCHEMA, conversations, scripted, scripted_by_name
from training.dialogues.tool_use import ADD, READ_FILE, WEATHER
from training.dialogues.values import Dialogue, assistant, call_markup, system, tool, user

__all__ = [
    "ADD",
    "FALLBACK",
    "LONG_THOUGHTS",
    "READ_FILE",
    "SCHEMA",
    "WEATHER",
    "Dialogue",
    "assistant",
    "call_markup",
    "conversations",
    "copies",
    "echoes",
    "fallbacks",
    "gibberish",
    "held_out",
    "scripted",
    "scripted_by_name",
    "system",
    "tool",
    "user",
    "with_strange_system_prompts",
]
