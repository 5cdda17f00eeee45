"""Task templates and the checks of their answers."""

import json
import re
from pathlib import Path, PurePath

import pytest
from jsonschema import validate

from mcp_local_llm.engines.mlx.steer.json_schema import unsupported
from mcp_local_llm.files.tasks.checks import Checked, CheckName, fault, outcome, second_try, without_unquoted
from mcp_local_llm.files.tasks.template import MESSAGE, Templates, read_template
from mcp_local_llm.setup.places import prompt_names
from mcp_local_llm.values.errors import ConfigError, InvalidRequestError
from tests.source import ROOT

NAMES = (
    *("boilerplate", "classify-logs", "commit-message", "condense", "docstrings", "explain-error"),
    *("extract", "review", "summarise", "tests", "translate"),
)
LOG = "10:00 start\n10:01 could not open  the\tstore\n}\n"
PLAIN = '+++\ndescription = "Do it"\nshape = "chat"\n+++\nDo it.\n\n{message}\n\nAnswer briefly.\n'


def test_the_installation_has_these_templates_and_the_slash_commands_are_others() -> None:
    assert Templates().names() == NAMES
    assert not set(prompt_names()) & {"extract", "tests"}


@pytest.mark.parametrize("name", NAMES)
def test_a_message_completes_a_template_and_the_form_of_the_answer_stays_last(name: str) -> None:
    template = Templates().load(name)
    task = template.task("Say it as {message} does.")
    first, last = template.body.strip().split(MESSAGE)
    assert task == f"{first.strip()}\n\nSay it as {{message}} does.\n\n{last.strip()}"
    if template.message == "required":
        with pytest.raises(InvalidRequestError, match=name):
            template.task(" ")
    else:
        assert template.task("") == f"{first.strip()}\n\n{last.strip()}"
    assert template.sampling.temperature is not None
    assert template.sampling.temperature <= 0.2
    assert template.thinking is False
    if template.answer_schema is not None:
        assert unsupported(template.answer_schema) == []


def test_the_schemas_fit_to_their_checks() -> None:
    found = {"found": [{"quote": "10:00 start", "value": "10:00"}]}
    kind = {"quote": "10:00 start", "class": "normal"}
    review = {"findings": [{"quote": "10:00 start", "problem": "none", "line": 1}]}
    for name, answer in (("extract", found), ("classify-logs", kind), ("review", review)):
        template = Templates().load(name)
        assert template.answer_schema is not None
        validate(answer, template.answer_schema)
        assert fault(template.check, Checked(json.dumps(answer), [LOG])) == ""
        assert "not in the file" in fault(template.check, Checked(json.dumps(answer), ["other"]))


def test_an_unknown_template_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InvalidRequestError, match="Did you mean 'summarise'"):
        Templates().load("summarize")
    for name in ("../switch-model", "", "switch-model", "x" * 500):
        with pytest.raises(InvalidRequestError):
            Templates().load(name)


def test_a_users_template_is_read_and_replaces_ours(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text(PLAIN)
    (tmp_path / "extract.md").write_bytes(b"\xef\xbb\xbf" + PLAIN.replace("\n", "\r\n").encode())
    (tmp_path / "Bad Name.md").write_text(PLAIN)
    templates = Templates(tmp_path)
    assert templates.names() == tuple(sorted((*NAMES, "mine")))
    assert templates.load("mine").task("Now.") == "Do it.\n\nNow.\n\nAnswer briefly."
    assert templates.load("extract").description == "Do it"
    assert Templates(tmp_path / "missing").names() == NAMES


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Do it.\n\n{message}\n", "two lines of +++"),
        (PLAIN.replace("+++", "---"), "two lines of +++"),
        (PLAIN.replace("{message}", ""), "{message}"),
        (PLAIN.replace("{message}", "Say {message} now"), "{message}"),
        (PLAIN.replace("{message}", "{message}\n\n{message}"), "{message}"),
        (PLAIN.replace("shape", "shape = ="), "no TOML"),
        (PLAIN.replace('"chat"', '"chatty"'), "'shape': Input should be 'rows', 'chat' or 'draft'"),
        (PLAIN.replace('shape = "chat"', 'shapes = "chat"'), "'shape': Field required"),
        (PLAIN.replace('shape = "chat"', 'shape = "chat"\ntemprature = 1'), "'temprature'"),
        (PLAIN.replace('shape = "chat"', 'shape = "chat"\ntemperature = 9'), "'temperature'"),
        (PLAIN.replace('shape = "chat"', 'shape = "chat"\ncheck = ["spelling"]'), "'check.0'"),
        (PLAIN.replace('shape = "chat"', 'shape = "chat"\nschema = "{"'), "'schema'"),
        (PLAIN.replace('shape = "chat"', 'shape = "chat"\nschema = \'{"type": 3}\''), "no JSON Schema"),
        (
            PLAIN.replace('shape = "chat"', 'shape = "chat"\nname = "x"\nbody = ""\nanswer_schema = {}'),
            "'answer_schema'",
        ),
    ],
)
def test_a_template_that_is_not_valid_names_file_key_and_what_is_allowed(text: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_template("mine", text, "/home/u/mine.md")
    assert "/home/u/mine.md" in str(caught.value)
    assert part in str(caught.value)


def test_a_users_template_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "huge.md").write_text("x" * 100_000)
    (tmp_path / "folder.md").mkdir()
    for name in ("mine", "huge", "folder"):
        with pytest.raises(ConfigError, match=name):
            Templates(tmp_path).load(name)


def test_the_outcome_of_the_checks_is_told() -> None:
    assert outcome(["json", "quote"], [""]) == "The answer passed its checks (json, quote)."
    assert outcome(["code"], ["it is x", ""]).endswith("at the second try; the first had a fault: it is x.")
    assert outcome(["code"], ["it is x", "it is y"]).startswith("Check the answer: it is y. ")
    assert outcome([], [""]) == ""


def judged(check: CheckName, answer: str, *sources: str, path: str | None = None) -> str:
    return fault([check], Checked(answer, sources, PurePath(path) if path else None))


@pytest.mark.parametrize(
    "answer",
    [
        *("Add a check for empty names", "fix(parser): keep the last line", "Bring the tests back", "Need less memory"),
        *("Add x\n\nBecause of y.\nAnd z.", "feat!: drop Python 3.10", "Ring the bell", "a" * 72, "Here, check names"),
    ],
)
def test_a_good_commit_message_passes(answer: str) -> None:
    assert judged("commit-message", answer) == ""


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        ("", "empty"),
        ("a" * 73, "73 characters"),
        ("Add x\nmore", "second line"),
        ("Add x.", "full stop"),
        ("Added a check", "'added' is not imperative"),
        ("fix: adding a check", "'adding' is not imperative"),
        ('"Add a check"', "quotation mark"),
        ("`Add a check`", "quotation mark"),
        ("**Add a check**", "markup"),
        ("```\nAdd a check\n```", "fence"),
        ("Here is the commit message:\n\nAdd a check", "words about"),
        ("Commit message: Add a check", "words about"),
        ("Sure! Add a check", "words about"),
    ],
)
def test_a_faulty_commit_message_is_told_its_fault(answer: str, part: str) -> None:
    assert part in judged("commit-message", answer)
    assert part in second_try(judged("commit-message", answer))


@pytest.mark.parametrize(
    ("answer", "fine"),
    [
        ({"quote": "10:01 could not open the store"}, True),
        ({"quote": "  could not open  the store"}, True),
        ({"quote": "}"}, True),
        ({"quote": "s"}, False),
        ({"quote": "could not open a store"}, False),
        ({"quote": "10:00 ... store"}, False),
        ({"quote": ""}, False),
        ({"quote": "", "class": "none"}, True),
        ({"quote": "", "class": "error"}, False),
        ({"quote": "invented", "class": "none"}, False),
        ([{"quote": "10:00 start"}, {"deep": [{"quote": "invented"}]}], False),
        ({"value": 1}, True),
    ],
)
def test_a_quote_has_to_stand_in_the_file(answer: object, fine: bool) -> None:
    assert (judged("quote", json.dumps(answer), LOG) == "") == fine


def test_findings_without_a_true_quote_are_left_out() -> None:
    findings = [{"quote": "10:00 start", "line": 1}, {"quote": "invented", "line": 2}, {"quote": "", "line": 3}]
    answer, dropped = without_unquoted(f"```json\n{json.dumps({'findings': findings})}\n```", [LOG])
    assert (json.loads(answer), dropped) == ({"findings": findings[:1]}, 2)
    assert without_unquoted("no JSON", [LOG]) == ("no JSON", 0)


@pytest.mark.parametrize(
    ("answer", "fine"), [('{"a": 1}', True), ("```json\n[1]\n```", True), ("{'a': 1}", False), ("[" * 100_000, False)]
)
def test_json_is_checked(answer: str, fine: bool) -> None:
    assert (judged("json", answer) == "") == fine


@pytest.mark.parametrize(
    ("answer", "path", "fine"),
    [
        ("```python\nx = 1\n```", None, True),
        ("```python\nx = = 1\n```", None, False),
        ("x = = 1", "a.py", False),
        ("x = = 1", None, True),
        ("fn main() {", "a.rs", True),
        ("```toml\na = 1\n```", "a.toml", True),
    ],
)
def test_code_is_checked_where_something_can_parse_it(answer: str, path: str | None, fine: bool) -> None:
    assert (judged("code", answer, path=path) == "") == fine


def test_the_page_about_templates_lists_them_and_its_example_is_one() -> None:
    page = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")
    assert tuple(sorted(re.findall(r"^\| `([a-z-]+)` \| (?:a|each|`git)", page, re.MULTILINE))) == NAMES
    (example,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    template = read_template("licences", example, "docs/templates.md")
    assert (template.shape, template.check, template.message) == ("rows", ("json", "quote"), "optional")
    for key in ("description", "shape", "message", "temperature", "max_tokens", "thinking", "schema", "check"):
        assert f"`{key}`" in page
