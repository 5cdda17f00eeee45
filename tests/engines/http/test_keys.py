"""Keys of endpoints: from a variable or a file, sent with each request, and shown nowhere."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from mcp_local_llm.values.endpoint import Endpoint
from mcp_local_llm.values.errors import ConfigError, InvalidRequestError
from tests.engines.http.asking import answer_of, engine_for
from tests.engines.http.fake_server import refuses, says

KEY = "sk-very-secret"


@pytest.mark.parametrize("content", [KEY, f"{KEY}\n", f"  {KEY}\r\n\n", f"\ufeff{KEY}\n"])
async def test_a_key_is_read_from_its_file_and_stripped(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content, encoding="utf-8")
    async with engine_for(says(), api_key_file=tmp_path / "key") as (engine, server):
        await answer_of(engine)
    assert {request.headers["authorization"] for request in server.received} == {f"Bearer {KEY}"}


async def test_a_key_that_was_changed_is_sent_with_the_next_request(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("first")
    async with engine_for(says(), api_key_file=tmp_path / "key") as (engine, server):
        await answer_of(engine)
        (tmp_path / "key").write_text("second")
        await answer_of(engine)
    assert server.received[-1].headers["authorization"] == "Bearer second"
    assert "Bearer first" in {request.headers["authorization"] for request in server.received}


async def test_what_the_server_says_is_shown_without_the_key_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    script = refuses(400, {"error": {"message": f"bad request, key {KEY} given"}})
    async with engine_for(script, api_key_file=tmp_path / "key") as (engine, _):
        with pytest.raises(InvalidRequestError) as caught:
            await answer_of(engine)
    assert KEY not in str(caught.value)


async def test_a_refused_key_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    script = refuses(401, {"error": {"message": "no"}})
    with pytest.raises(ConfigError, match=rf"refused the key \(HTTP 401\)\. Check {tmp_path / 'key'}"):
        async with engine_for(script, api_key_file=tmp_path / "key") as (engine, _):
            await answer_of(engine)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "No such file"),
        ("empty", "it is empty"),
        ("folder", "not a regular file"),
        ("fifo", "not a regular file"),
        ("huge", "larger than 16,384 bytes"),
        ("binary", "it is not text"),
        ("two lines", "characters that no key can have"),
    ],
)
async def test_a_file_without_a_key_is_told_with_the_process_and_the_setting(
    tmp_path: Path, kind: str, words: str
) -> None:
    file = tmp_path / "key"
    match kind:
        case "folder":
            file.mkdir()
        case "fifo":
            os.mkfifo(file)
        case "missing":
            pass
        case _:
            content = {"empty": b" \n", "huge": b"k" * 20_000, "binary": b"\xff\xfe", "two lines": b"one\ntwo\n"}
            file.write_bytes(content[kind])
    with pytest.raises(ConfigError, match="api_key_file") as caught:
        async with engine_for(says(), api_key_file=file):
            pass
    assert words in str(caught.value)
    assert str(file) in str(caught.value)
    assert kind == "two lines" or f"process {os.getpid()}" in str(caught.value)


async def test_a_variable_that_is_not_set_is_told_with_the_process_and_the_setting() -> None:
    with pytest.raises(ConfigError, match=rf"BOX_KEY \(api_key_env\), which is not set in process {os.getpid()}\."):
        async with engine_for(says(), api_key_env="BOX_KEY"):
            pass


def test_a_home_folder_is_expanded() -> None:
    endpoint = Endpoint.model_validate({"name": "box", "url": "http://h/v1", "api_key_file": "~/keys/box"})
    assert endpoint.api_key_file == Path("~/keys/box").expanduser()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"api_key_file": "/k", "api_key_env": "K"}, "either api_key_env or api_key_file"),
        ({"api_key_file": "relative/key"}, "whole path"),
    ],
)
def test_a_key_has_one_source(entry: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Endpoint.model_validate({"name": "box", "url": "http://h/v1", **entry})
