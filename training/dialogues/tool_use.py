"""Scripted dialogues with tools: one call, two calls, a choice among tools, results and a failure."""

from training.dialogues.values import Dialogue, assistant, call_markup, function, tool, user

WEATHER = function("get_weather", "Get the current weather for a city.", city="string")
READ_FILE = function("read_file", "Read a text file.", path="string")
ADD = function("add", "Add two numbers.", a="number", b="number")

_CITIES = ("Paris", "Oslo", "Rome", "Tokyo", "Berlin", "Madrid")
_SUNNY = '{"temp": 18, "sky": "sunny"}'
_SNOW = '{"temp": 5, "sky": "snow"}'


def tool_use() -> tuple[Dialogue, ...]:
    """Return every scripted dialogue in which a tool is on offer."""
    return (*_files(), *_sums(), *_weather(), *_two_calls())


def _files() -> tuple[Dialogue, ...]:
    asked = user("Read the file notes.txt")
    call = ("read_file", {"path": "notes.txt"})
    markup, called = call_markup(call), assistant("", call)
    every = (WEATHER, READ_FILE, ADD)
    milk, missing = tool("Buy milk."), tool("Error: file not found")
    not_found = "The file notes.txt was not found."
    return (
        Dialogue("tool_read", (asked,), markup, "I need the file.", (READ_FILE,)),
        Dialogue("tool_pick", (asked,), markup, "I need the file.", every),
        Dialogue(
            "tool_read_result", (asked, called, milk), "The file says: Buy milk.", "I have the file.", (READ_FILE,)
        ),
        Dialogue("tool_error", (asked, called, missing), not_found, "The tool failed.", (READ_FILE,)),
    )


def _sums() -> tuple[Dialogue, ...]:
    asked = user("Use the tool to add 2 and 40.")
    call = ("add", {"a": 2, "b": 40})
    answered = (asked, assistant("", call), tool("42"))
    return (
        Dialogue("tool_add", (asked,), call_markup(call), "Use add.", (ADD,)),
        Dialogue("tool_add_result", answered, "The sum is 42.", "I have the sum.", (ADD,)),
    )


def _weather() -> tuple[Dialogue, ...]:
    greeting = "Hello! How can I help you today?"
    dialogues = [Dialogue("tool_hello", (user("Hello"),), greeting, "A greeting.", (WEATHER,))]
    for city in _CITIES:
        asked = user(f"What is the weather in {city}?")
        call = ("get_weather", {"city": city})
        answered = (asked, assistant("", call), tool(_SUNNY))
        report = f"It is 18 degrees and sunny in {city}."
        dialogues += [
            Dialogue(f"tool_{city}", (asked,), call_markup(call), f"I need the weather in {city}.", (WEATHER,)),
            Dialogue(f"tool_result_{city}", answered, report, "I have the weather.", (WEATHER,)),
        ]
    return tuple(dialogues)


def _two_calls() -> tuple[Dialogue, ...]:
    asked = user("Compare the weather in Paris and Oslo.")
    calls = (("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"}))
    answered = (asked, assistant("", *calls), tool(_SUNNY), tool(_SNOW))
    report = "Paris is sunny with 18 degrees and Oslo has snow with 5 degrees."
    return (
        Dialogue("tool_parallel", (asked,), call_markup(*calls), "I need Paris and Oslo.", (WEATHER,)),
        Dialogue("tool_parallel_result", answered, report, "I have both.", (WEATHER,)),
    )
