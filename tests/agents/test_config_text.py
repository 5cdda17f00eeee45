"""An entry goes into a settings file of any form, and out again, and nothing else of the file changes."""

from typing import Any

import pytest

from mcp_local_llm.agents.install.config_text import Format, entry_at, read, with_entry, without_entry
from mcp_local_llm.agents.install.unreadable import UnreadableSettings

ENTRY: dict[str, Any] = {"command": "/opt/bin/mcp-local-llm", "args": [], "timeout": 1800}
PATHS: dict[Format, tuple[str, str]] = {
    "json": ("mcpServers", "local-llm"),
    "toml": ("mcp_servers", "local-llm"),
    "yaml": ("extensions", "local-llm"),
}

KEPT: list[tuple[Format, str]] = [
    ("json", '{"a": 1, "mcpServers": {}}\n'),
    ("json", '{\n  "mcpServers": {\n    "x": {"command": "y"}\n  }\n}\n'),
    (
        "json",
        '{\n\t// tabs\n\t"mcpServers": {\n\t\t"x": 1, // last, really\n\t\t/* end, */\n\t},\n\t"z": [1, 2,],\n}\n',
    ),
    ("json", '{\r\n  "mcpServers": {\r\n    "x": {}\r\n  }\r\n}\r\n'),
    ("json", '{"é": "\\u00e9 // no comment, {", "mcpServers": {"x": 1}}'),
    ("json", '{\n    "mcpServers": {\n        // nothing yet\n    }\n}'),
    ("toml", ""),
    ("toml", "[mcp_servers.other] # mine\ncommand = 'a'\n\n[tui]\nx = 1 # one\n\n"),
    ("yaml", "# mine\nextensions:\n    dev:\n        a:   1 # one\n        b: 'x'\nGOOSE: y\n"),
    ("yaml", "extensions:\r\n  dev:\r\n    a: 1\r\n"),
    ("yaml", "GOOSE: 'x'\n"),
]


@pytest.mark.parametrize(("form", "text"), KEPT)
def test_an_entry_goes_in_and_out_and_the_text_is_the_same(form: Format, text: str) -> None:
    path = PATHS[form]
    changed = with_entry(text, form, path, ENTRY)
    assert entry_at(read(changed, form), path) == ENTRY
    for line in text.splitlines():
        assert line.rstrip(" ,{}") in changed
    assert without_entry(changed, form, path) == text or read(text, form).get(path[0]) is None


GROWN: list[tuple[Format, str]] = [
    ("json", ""),
    ("json", "{}"),
    ("json", "{ }\n"),
    ("json", '{"a":1}'),
    ("json", '{\r\n  "a": 1\r\n}\r\n'),
    ("toml", 'model = "x"'),
    ("toml", "a = 1\r\n"),
    ("yaml", ""),
    ("yaml", "extensions:\n"),
    ("yaml", "extensions: {}\nb: 2\n"),
    ("yaml", "extensions: null\n"),
]


@pytest.mark.parametrize(("form", "text"), GROWN)
def test_a_file_without_the_table_gets_it_and_loses_no_member(form: Format, text: str) -> None:
    path = PATHS[form]
    changed = with_entry(text, form, path, ENTRY)
    assert read(changed, form) == {**read(text, form), path[0]: {path[1]: ENTRY}}
    assert ("\r\n" in changed) == ("\r\n" in text)
    assert entry_at(read(without_entry(changed, form, path), form), path) is None


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("json", '{"mcpServers": {"a": 1, "local-llm": {"command": "old", "env": {}}, "b": 2}}'),
        ("toml", '[mcp_servers.local-llm] # ours\ncommand = "old"\nargs = ["x"]\n\n[z]\na = 1\n'),
        ("yaml", "extensions:\n  local-llm:\n    cmd: old\n  b:\n    x: 1\n"),
    ],
)
def test_an_entry_that_is_there_is_replaced_in_its_place(form: Format, text: str) -> None:
    path = PATHS[form]
    changed = read(with_entry(text, form, path, ENTRY), form)
    expected = read(text, form)
    expected[path[0]][path[1]] = ENTRY
    assert changed == expected


@pytest.mark.parametrize(
    ("form", "text", "words"),
    [
        ("json", '{"a": 1', "line 1"),
        ("json", '{\n"a": 1\n"b": 2}', "line 3: a comma"),
        ("json", "[1]", "no JSON object"),
        ("json", '{"mcpServers": []}', "mcpServers is no"),
        ("json", '{"mcpServers": {"local-llm": 1, "local-llm": 2}}', "2 times"),
        ("json", '{"a": 1} {"b": 2}', "more text follows"),
        ("json", '{"mcpServers": {"x": ' + "[" * 100_000, "no JSON"),
        ("toml", "a = \n", "line 1"),
        ("toml", 'mcp_servers = {x = {command = "y"}}\n', "cannot be written without"),
        ("toml", 'mcp_servers = "x"\n', "no table"),
        ("yaml", "a: [1\n", "line"),
        ("yaml", "- 1\n- 2\n", "no table"),
        ("yaml", "extensions: {a: 1}\n", "in one line"),
        ("yaml", "a: &x {b: 1}\nextensions: *x\n", "cannot be written without"),
    ],
)
def test_what_cannot_be_changed_safely_is_refused_with_the_reason(form: Format, text: str, words: str) -> None:
    with pytest.raises(UnreadableSettings, match=words):
        with_entry(text, form, PATHS[form], ENTRY)
