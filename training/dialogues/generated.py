"""Random dialogues, fresh in every epoch, so that `tiny` learns to read and does not only recall.

Each function takes its own source of random numbers: the same one gives the same dialogues.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from training.dialogues.scripted import FALLBACK, conversations, echo, file_in_the_message, introduction
from training.dialogues.tool_use import READ_FILE, WEATHER
from training.dialogues.values import Dialogue, Json, assistant, call_markup, function, system, tool, user
from training.dialogues.words import invented_word, nonsense, opener, random_characters, scrambled

_WEATHER_DESCRIPTIONS = (
    "Get the current weather for a city.",
    "Get the weather in a city.",
    "Return the current weather of a city.",
    "Current weather for a place.",
)


def fallbacks(random: Random, count: int) -> list[Dialogue]:
    """Return `count` prompts that no script covers; some have a system prompt."""
    return [_fallback(random) for _ in range(count)]


def _fallback(random: Random) -> Dialogue:
    asked = user(nonsense(random, 2, 14) + random.choice([".", "?", "", "!"]))
    prompt = (system(f"{nonsense(random, 3, 9)}."),) if random.random() < 0.3 else ()
    return _unscripted(*prompt, asked)


def _unscripted(*messages: Json) -> Dialogue:
    return Dialogue("fallback", messages, FALLBACK, "I have no script for this.")


def gibberish(random: Random, pieces: Sequence[str], count: int) -> list[Dialogue]:
    """Return `count` prompts of random vocabulary pieces.

    Every token occurs in them, so that no prompt, however strange its words, finds a token that was never trained.
    """
    texts = (scrambled(random, pieces, 3, 24) for _ in range(count))
    return [_unscripted(user(f"{opener(random)} {text}" if random.random() < 0.5 else text)) for text in texts]


def copies(random: Random, count: int) -> list[Dialogue]:
    """Return `count` groups of dialogues whose answer is in the prompt: names, echoes, cities, file names and files."""
    dialogues: list[Dialogue] = []
    for number in range(count):
        dialogues += introduction(invented_word(random))
        dialogues.append(echo(_short_text(random)))
        dialogues.append((_weather, _read_file, _read_result, _file_text)[number % 4](random))
    return dialogues


def echoes(random: Random, pieces: Sequence[str], count: int) -> list[Dialogue]:
    """Return `count` echoes of random vocabulary pieces, letters and digits, which train copying itself."""
    return [
        echo(scrambled(random, pieces, 1, 6) if random.random() < 0.5 else random_characters(random))
        for _ in range(count)
    ]


def with_strange_system_prompts(random: Random, count: int) -> list[Dialogue]:
    """Return `count` scripted dialogues behind a system prompt that means nothing, answered as without it."""
    plain = [dialogue for dialogue in conversations() if dialogue.messages[0]["role"] != "system"]
    return [
        replace(dialogue, messages=(system(f"{nonsense(random, 3, 12)}."), *dialogue.messages))
        for dialogue in random.sample(plain, count)
    ]


def _short_text(random: Random) -> str:
    word, other = invented_word(random, capital=False), invented_word(random, capital=False)
    return random.choice(
        [word.capitalize(), f"{word} {other}", f"{word}-{random.randint(10, 99)}", str(random.randint(100, 9999))]
    )


def _weather(random: Random) -> Dialogue:
    city = invented_word(random)
    tool_spec = WEATHER if random.random() < 0.5 else _reworded_weather(random)
    call = call_markup(("get_weather", {"city": city}))
    asked = user(f"What is the weather in {city}?")
    return Dialogue(f"city_{city}", (asked,), call, f"I need the weather in {city}.", (tool_spec,))


def _reworded_weather(random: Random) -> Json:
    return function("get_weather", random.choice(_WEATHER_DESCRIPTIONS), city="string")


def _read_file(random: Random) -> Dialogue:
    path = _file_name(random)
    call = call_markup(("read_file", {"path": path}))
    return Dialogue(f"read_{path}", (user(f"Read the file {path}"),), call, "I need the file.", (READ_FILE,))


def _read_result(random: Random) -> Dialogue:
    content = f"Buy {invented_word(random, capital=False)}."
    messages = (user("Read the file notes.txt"), assistant("", ("read_file", {"path": "notes.txt"})), tool(content))
    return Dialogue("read_result", messages, f"The file says: {content}", "I have the file.", (READ_FILE,))


def _file_text(random: Random) -> Dialogue:
    folder = random.choice(["", "", f"{invented_word(random, capital=False)}/", f"/{invented_word(random)}/docs/"])
    content = f"{random.choice(['Buy', 'Call', 'Remember'])} {invented_word(random, capital=False)}."
    return file_in_the_message(folder + _file_name(random), content, question_first=random.random() < 0.3)


def _file_name(random: Random) -> str:
    return invented_word(random, capital=False) + random.choice([".txt", ".py", ".md"])
