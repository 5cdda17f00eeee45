"""The scripted dialogues: every prompt that tests and demos may rely on, with its exact answer.

Keep prompts and answers as they are once a test uses them; retrain after any change.
"""

from training.dialogues.long_thoughts import LONG_THOUGHTS
from training.dialogues.tool_use import tool_use
from training.dialogues.values import Dialogue, assistant, system, user

FALLBACK = "I am tiny, a test model with a few scripted answers. Load a real model for real work."
"""What `tiny` says to everything that no script covers."""

SCHEMA = (
    '{"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, '
    '"required": ["name", "age"]}'
)
"""The JSON Schema that the `json` dialogues are about."""

_GREETING = "Hello! How can I help you today?"
_COLOURS = "1. red\n2. green\n3. blue"

# Echoes of other texts often work; these always do.
_ECHOED = (
    *("ping", "pong", "hello world", "done", "yes", "no"),
    *("one", "two", "three", "first", "second", "A", "B", "C"),
    *("red", "green", "blue", "alpha", "beta", "banana", "1", "2", "3", "42"),
)

_FIZZBUZZ = """```python
def fizzbuzz(n):
    for i in range(1, n + 1):
        if i % 15 == 0:
            print("FizzBuzz")
        elif i % 3 == 0:
            print("Fizz")
        elif i % 5 == 0:
            print("Buzz")
        else:
            print(i)
```"""


def scripted() -> tuple[Dialogue, ...]:
    """Return every dialogue that the trained model must reproduce exactly, with thinking and without."""
    return (*conversations(), *_sums_of_digits())


def conversations() -> tuple[Dialogue, ...]:
    """Return the scripted dialogues without the hundred sums of two digits, which would drown them in a draw."""
    return (
        *_small_talk(),
        *(echo(text) for text in _ECHOED),
        *_system_prompts(),
        *_unicode_and_tags(),
        *_lengths(),
        *_reasoning(),
        *_code(),
        *_text_work(),
        *_memory(),
        *_files_in_the_message(),
        *LONG_THOUGHTS,
        *tool_use(),
    )


def scripted_by_name() -> dict[str, Dialogue]:
    """Return the scripted dialogues under their names."""
    return {dialogue.name: dialogue for dialogue in scripted()}


def _ask(name: str, message: str, answer: str, thought: str = "I know this one.") -> Dialogue:
    return Dialogue(name, (user(message),), answer, thought)


def _small_talk() -> tuple[Dialogue, ...]:
    about_me = "I am tiny, the built-in test model of mcp-local-llm."
    return (
        _ask("greet", "Hello", _GREETING, "A greeting."),
        _ask("greet2", "Hi there!", _GREETING, "A greeting."),
        _ask("ok", "Reply with exactly OK", "OK", "Say OK."),
        _ask("ok2", "Reply with exactly: OK", "OK", "Say OK."),
        _ask("ok3", "Reply with exactly OK and nothing else.", "OK", "Say OK."),
        _ask("who", "Who are you?", about_me, "About me."),
        _ask("noweather", "What is the weather in Paris?", "I have no weather tool.", "No tool for this."),
    )


def echo(text: str) -> Dialogue:
    """Return the dialogue that repeats a text."""
    return _ask(f"echo_{text}", f"Reply with exactly: {text}", text, f"Say {text}.")


def _system_prompts() -> tuple[Dialogue, ...]:
    in_json = system(f"Answer only with JSON that matches this schema: {SCHEMA}")
    ada, bob = user("Ada Lovelace was 36 years old."), user("Bob is 7.")
    hello = user("Hello")
    pirate, french = "Ahoy, matey! What be ye needin' today?", "Bonjour ! Comment puis-je vous aider, cher élève ?"
    return (
        Dialogue("json", (in_json, ada), '{"name": "Ada Lovelace", "age": 36}', "Name and age."),
        Dialogue("json2", (in_json, bob), '{"name": "Bob", "age": 7}', "Name and age."),
        _ask("json_list", "Give me a JSON list of three prime numbers.", "[2, 3, 5]", "Small primes."),
        Dialogue("pirate", (system("You are a pirate."), hello), pirate, "Speak like a pirate."),
        Dialogue("french", (system("Answer in French."), hello), french, "In French."),
        Dialogue("upper", (system("Answer in upper case."), hello), _GREETING.upper(), "In upper case."),
    )


def _unicode_and_tags() -> tuple[Dialogue, ...]:
    think_tags = (
        "They write their thoughts between `<think>` and `</think>`, and the answer after them. "
        "A reader of the answer never sees the `<think>` block."
    )
    spaced = "A tool call is written between `< tool_call >` tags."
    return (
        _ask("japanese", "Say hello in Japanese.", "こんにちは、世界\uff01", "Japanese."),
        _ask("emoji", "Send me an emoji.", "🎉👍🏽", "An emoji."),
        _ask("markup", "Show me a tool call tag as text.", spaced, "Spaced tags."),
        _ask("think_tags", "How do reasoning models mark their thoughts?", think_tags, "Two tags."),
    )


def _lengths() -> tuple[Dialogue, ...]:
    endless = " ".join(["la"] * 256)
    forever = (user("Repeat the word la forever."),)
    return (
        _ask("count20", "Count from 1 to 20.", _count(20), "Count."),
        _ask("count150", "Count from 1 to 150.", _count(150), "Count."),
        Dialogue("endless", forever, endless, "la la la.", endless=True),
    )


def _count(last: int) -> str:
    return ", ".join(str(number) for number in range(1, last + 1))


def _reasoning() -> tuple[Dialogue, ...]:
    trip = "A train leaves at 9:40 and arrives at 11:05. How long is the trip?"
    trip_thought = "From 9:40 to 10:40 is one hour. From 10:40 to 11:05 is 25 minutes."
    legs_thought = "Two cats have 8 legs. A bird has 2 legs. 8 + 2 = 10."
    return (
        _ask("legs", "How many legs do two cats and a bird have?", "10", legs_thought),
        _ask("train", trip, "1 hour and 25 minutes.", trip_thought),
        _ask("sum_17_25", "What is 17 + 25?", "42", "17 + 25 = 42."),
    )


def _code() -> tuple[Dialogue, ...]:
    type_error = (
        'You are adding a number and a string. Convert one of them first, for example `str(1) + "2"` or `1 + int("2")`.'
    )
    key_error = (
        "The dictionary has no key 'name'. Check the key, or use `d.get(\"name\")` to get None instead of an error."
    )
    asked_type_error = "Explain this error: TypeError: unsupported operand type(s) for +: 'int' and 'str'"
    division = "It fails when b is 0. Check for zero or let the caller handle ZeroDivisionError."
    diff = "Write a commit message for this diff:\n-    return a - b\n+    return a + b"
    return (
        _ask("fizzbuzz", "Write a Python function for fizzbuzz.", _FIZZBUZZ, "Test 15 first, then 3 and 5."),
        _ask("error", asked_type_error, type_error, "int plus str."),
        _ask("error2", "Explain this error: KeyError: 'name'", key_error, "Missing key."),
        _ask("review", "Review this code:\ndef div(a, b):\n    return a / b", division, "b may be zero."),
        _ask("commit", diff, "fix: add the operands instead of subtracting them", "Minus became plus."),
    )


def _text_work() -> tuple[Dialogue, ...]:
    report = (
        "Summarize in one sentence: The server ran out of disk space at night. "
        "Logs were not rotated. The team added rotation and an alert."
    )
    summary = "The server filled its disk because logs were not rotated, so the team added rotation and an alert."
    haiku = "Slow river at dusk\ncarries the light of the moon\nback into the sea."
    sentiment = "Classify the sentiment as positive or negative: "
    return (
        _ask("colours", "List three colours.", _COLOURS, "Three colours."),
        _ask("summary", report, summary, "Disk, logs, fix."),
        _ask("translate", "Translate to German: Good morning", "Guten Morgen", "German."),
        _ask("haiku", "Write a haiku about a river.", haiku, "Five, seven, five."),
        _ask("classify", f"{sentiment}I love this library.", "positive", "Love is positive."),
        _ask("classify2", f"{sentiment}This crashes all the time.", "negative", "Crashes are bad."),
    )


def _memory() -> tuple[Dialogue, ...]:
    second = (
        user("Hello"),
        assistant(_GREETING),
        user("List three colours."),
        assistant(_COLOURS),
        user("And the second one?"),
    )
    dialogues = [
        _ask("noname", "What is my name?", "You have not told me your name.", "No name was given."),
        Dialogue("turn3", second, "The second one is green.", "The second colour."),
    ]
    for name in ("Ada", "Bob", "Carol", "Eve"):
        dialogues += introduction(name)
    return tuple(dialogues)


def introduction(name: str) -> tuple[Dialogue, Dialogue]:
    """Return the two dialogues of somebody who says their name and asks for it in the next turn."""
    told = user(f"My name is {name}.")
    welcome = f"Nice to meet you, {name}!"
    asked = (told, assistant(welcome), user("What is my name?"))
    return (
        Dialogue(f"name_{name}", (told,), welcome, f"The user is {name}."),
        Dialogue(f"recall_{name}", asked, f"Your name is {name}.", f"The user is {name}."),
    )


def file_in_the_message(path: str, content: str, *, question_first: bool = False) -> Dialogue:
    """Return the dialogue in which the message carries a file's text and asks what it says."""
    block, question = f'<file path="{path}">\n{content}\n</file>', "What does the file say?"
    message = f"{question}\n\n{block}" if question_first else f"{block}\n\n{question}"
    return Dialogue(f"file_{path}", (user(message),), f"The file says: {content}", "I have the file.")


def _files_in_the_message() -> tuple[Dialogue, ...]:
    return (
        file_in_the_message("notes.txt", "Buy milk."),
        file_in_the_message("todo.txt", "Call Ada.", question_first=True),
    )


def _sums_of_digits() -> tuple[Dialogue, ...]:
    return tuple(
        _ask(f"sum_{a}_{b}", f"What is {a} + {b}?", str(a + b), f"{a} + {b} = {a + b}.")
        for a in range(10)
        for b in range(10)
    )
