"""What stands in place of private words in a log and in a report: texts, and what becomes of them."""

from pathlib import Path

import pytest

from mcp_local_llm.setup.private_words import PrivateWords, private_words
from mcp_local_llm.setup.settings import Settings

WORDS = PrivateWords(
    home=Path("/home/alice"),
    users=("alice", "root"),
    hosts=("Alices-Mac.local", "localhost", "10.0.0.7"),
    keys=("tr0mb.ne", "tr0mb.ne-longer"),
    folder=Path("/home/alice/work/secret-project"),
)

CASES = [
    ("/home/alice/.cache/x of /home/alice", "~/.cache/x of ~"),
    ("/home/alice2 and /home/alice-x", "/home/alice2 and /home/USER-x"),
    ("/home/alice/work/secret-project/a.py", "FOLDER/a.py"),
    ("/home/alice/work/secret-project-2", "~/work/secret-project-2"),
    ("Alice's model is alice/my-4bit; alice_notes.txt, malice", "USER's model is USER/my-4bit; USER_notes.txt, malice"),
    ("the root folder", "the root folder"),
    ("alices-mac, ALICES-MAC.LOCAL, localhost, 10.0.0.7:80, 10.0.0.70", "HOST, HOST, localhost, HOST:80, 10.0.0.70"),
    ("key tr0mb.ne-longer or tr0mb.ne", "key KEY or KEY"),
    ("http://name:pw@gpu.lan:8000/v1?api_key=abc&x=1", "http://…@HOST:8000/v1?api_key=…&x=1"),
    ("https://huggingface.co/a/b, http://127.0.0.1:1/v1, http://[::1]:2, http://localhost", None),
    ("https://huggingface.co.evil.example/a", "https://HOST/a"),
    ("http://[fe80::1]:80/v1", "http://HOST:80/v1"),
    ("Authorization: Bearer abcdefgh, sk-abcdefghij, hf_abcdefghij", "Authorization: Bearer …, sk-…, hf_…"),
    ("reads a prompt of 248 tokens, 1 of them from the KV cache", None),
    ("", ""),
]


@pytest.mark.parametrize(("text", "masked"), CASES)
def test_private_words_are_replaced_and_all_else_stays(text: str, masked: str | None) -> None:
    assert WORDS.masked(text) == (text if masked is None else masked)


def test_the_words_come_from_settings_and_environment(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "api_key": "own-key",
            "endpoints": [{"name": "box", "url": "http://studio.lan:8000/v1", "api_key_env": "BOX"}],
            "cluster": [{"name": "two", "model": "a/b", "hosts": ["10.1.1.1", "10.1.1.2"]}],
        }
    )
    environ = {"USER": "bassoonist", "BOX": "abc", "OTHER_API_KEY": "of another program", "SSH_KEY_FILE": "/a/b/c/d"}
    words = private_words(settings, environ, tmp_path)
    text = f"own-key abc of another program bassoonist studio.lan studio 10.1.1.2 {tmp_path}/x /a/b/c/d"
    assert words.masked(text) == "KEY KEY KEY USER HOST HOST HOST ~/x /a/b/c/d"


def test_a_home_that_is_the_root_folder_replaces_nothing() -> None:
    assert PrivateWords(home=Path("/")).masked("/etc/hosts") == "/etc/hosts"
