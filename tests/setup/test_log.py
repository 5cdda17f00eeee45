"""What is written of a record and of a call: never what was said, always the call's id."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from mcp_local_llm.setup import log as package_log
from mcp_local_llm.setup.log import file_line, joined_failures, last_failures, logged_call, open_log
from mcp_local_llm.setup.private_words import PrivateWords
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.values.call import Call, current_call, known_id, working_on
from mcp_local_llm.values.errors import HolderGoneError, InvalidRequestError, ModelLoadError
from mcp_local_llm.values.results import Failure

SAID = "xylophone-4711"
WORDS = PrivateWords(home=Path("/home/alice"), users=["alice"])


def record(message: str, *args: object, error: BaseException | None = None, **extra: object) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error is not None else None
    made = logging.LogRecord("mcp_local_llm.engines.x", logging.WARNING, __file__, 1, message, args, info)
    made.__dict__.update(extra)
    return made


def raised(error: Exception) -> Exception:
    """An exception with the traceback of a cause."""
    try:
        try:
            raise KeyError(SAID)
        except KeyError as cause:
            raise error from cause
    except Exception as found:  # The test looks at it.
        return found


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (record("loads %s in /home/alice/x", "tiny"), "engines.x: loads tiny in ~/x"),
        (record("two\nlines\x1b[2J"), "engines.x: two lines [2J"),
        (record("failed: %s", InvalidRequestError(SAID)), "failed: The request's shape or a value's range is wrong."),
        (record("failed: %s", ModelLoadError("a/b: no\nweights of alice")), "failed: a/b: no weights of USER"),
        (record("failed: %s", ValueError(SAID)), "failed: It was not foreseen (ValueError)."),
        (record("failed: %s", OSError(28, "No space left on device", SAID)), "failed: No space left on device"),
        (record("x", error=raised(ValueError(SAID))), "x | ValueError at test_log.py:"),
        (record("x", error=raised(ValueError(SAID))), "raised; from KeyError at test_log.py:"),
        (record("x", error=raised(RuntimeError(f"bad {SAID}"))), "x | RuntimeError at test_log.py:"),
        (
            record("x", error=raised(RuntimeError("[metal::malloc] Attempting to allocate 8 bytes"))),
            "x | RuntimeError [metal::malloc] Attempting to allocate 8 bytes at test_log.py:",
        ),
        (record("x", error=raised(ImportError("no libcuda.so"))), "x | ImportError no libcuda.so at "),
    ],
)
def test_a_record_is_one_line_without_what_was_said(made: logging.LogRecord, says: str) -> None:
    line = file_line(made, WORDS)
    assert says in line
    assert SAID not in line
    assert line.isprintable()
    assert f" {made.process} WARNING - engines.x: " in line


def test_a_line_names_the_call_it_belongs_to() -> None:
    with working_on(Call("mcp chat", "0a1b2c3d")):
        assert " WARNING 0a1b2c3d engines.x: x" in file_line(record("x"), WORDS)
        assert " WARNING ffffffff engines.x: x" in file_line(record("x", call="ffffffff"), WORDS)
    assert current_call() is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("0f8fad5b-d9cb-469f-a165-70867728950e", True),
        ("0F8FAD5BD9CB", True),
        ("1a2b3c4d", True),
        ("1a2b3c", False),
        (SAID, False),
        ("deadbeef" * 5, False),
        ("-1a2b3c4d", False),
        ("1a2b3c4d\n", False),
        (None, False),
        (12345678, False),
    ],
)
def test_an_id_from_outside_is_kept_where_it_can_carry_no_text(given: object, kept: bool) -> None:
    assert (known_id(given) == given) == kept


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged to stderr, as a process does."""
    text, root = io.StringIO(), logging.getLogger()
    monkeypatch.setattr("sys.stderr", text)
    before = root.handlers[:]
    package_log.log_to_stderr()
    yield text
    root.handlers[:] = before


@pytest.mark.parametrize("level", ["WARNING", "DEBUG"])
def test_stderr_tells_messages_of_exceptions_to_who_asks_for_them(
    stderr: io.StringIO, tmp_path: Path, level: str
) -> None:
    open_log(Settings.model_validate({"log_level": level, "log_file_mb": 0}), tmp_path, WORDS)
    logger = logging.getLogger("mcp_local_llm.x")
    with working_on(Call("mcp chat", "0a1b2c3d")):
        logger.error("failed", exc_info=raised(ValueError(SAID)))
        logger.info("a line")
    logging.getLogger("of.a.library").warning("a warning")
    told = stderr.getvalue()
    assert told.startswith("mcp-local-llm: ERROR: request 0a1b2c3d: failed\n")
    assert "mcp-local-llm: WARNING: a warning\n" in told
    assert (SAID in told) == ("a line" in told) == (level == "DEBUG")


async def test_a_call_ends_in_one_line_and_failures_are_kept(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    open_log(Settings(log_file_mb=0), tmp_path, WORDS)
    with logged_call(Call("a")):
        pass
    with logged_call(Call("b")) as call:
        call.error = InvalidRequestError(SAID)
    with pytest.raises(ValueError, match=SAID), logged_call(Call("c")):
        raise ValueError(SAID)
    with pytest.raises(HolderGoneError), logged_call(Call("d")):
        raise HolderGoneError(SAID)
    with anyio.CancelScope() as scope, logged_call(Call("e")):
        scope.cancel()
        await anyio.lowlevel.checkpoint()
    words = [message.partition(", 0.")[0].partition(" after ")[0] for message in caplog.messages]
    assert words == ["a: answered", "b: failed", "c: failed", "d: failed", "e: cancelled"]
    assert SAID not in caplog.text
    assert [(failure.door, failure.error) for failure in last_failures()] == [
        ("b", "InvalidRequestError"),
        ("c", "ValueError"),
    ]


def test_the_last_ten_failures_of_both_processes_are_told_once_in_their_order(tmp_path: Path) -> None:
    open_log(Settings(log_file_mb=0), tmp_path, WORDS)
    for number in range(12):
        with logged_call(Call("own", f"{number:08}")) as call:
            call.error = InvalidRequestError()
    own = last_failures()
    assert [failure.request for failure in own] == [f"{number:08}" for number in range(2, 12)]
    older = Failure(time="2020-01-01T00:00:00Z", request="old", door="other", error="E", sentence="S")
    newer = older.model_copy(update={"time": "9999-01-01T00:00:00Z", "request": "new"})
    same = newer.model_copy(update={"request": own[-1].request})
    told = joined_failures([older, newer, same])
    assert [failure.request for failure in told] == [*(failure.request for failure in own[1:]), "new"]
