"""Errors speak the language of the door they leave by."""

import pytest

from mcp_local_llm.doors.results_text import without_tools
from mcp_local_llm.values.errors import shortened


@pytest.mark.parametrize(
    ("said", "for_a_terminal", "over_http"),
    [
        ("Call list_models and", "Call `mcp-local-llm models` and", "Call GET /v1/models and"),
        ("list_models shows all 3.", "`mcp-local-llm models` shows all 3.", "GET /v1/models shows all 3."),
        ('set_model("a/b") loads it.', *["`mcp-local-llm use a/b` loads it."] * 2),
        ("Remove it, or choose with set_model.", *["Remove it, or choose with `mcp-local-llm use`."] * 2),
        ("Its full id with download=true completes it.", *["Its full id with `mcp-local-llm pull` completes it."] * 2),
        ("Run quick_test.", *["Run `mcp-local-llm test`."] * 2),
        ("my_list_models_2 stays", *["my_list_models_2 stays"] * 2),
    ],
)
def test_a_message_names_commands_where_there_are_no_tools(said: str, for_a_terminal: str, over_http: str) -> None:
    assert without_tools(said) == for_a_terminal
    assert without_tools(said, "GET /v1/models") == over_http


def test_what_a_caller_sent_is_repeated_in_short() -> None:
    assert shortened("short") == "short"
    assert len(shortened("x" * 1_000_000)) == 100
