"""Other servers in the benchmarks: which are found, what is said of the rest, one that fails beside one that runs."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.peer_group import running
from benchmarks.peers import MLX_LM, PEERS, Installed, find_peers, parse_places
from tests.model_cache import TINY

LLAMA = next(peer for peer in PEERS if peer.name == "llama-server")


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o700)
    return path


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("ollama=/bin/sh", "names no peer; give NAME=PATH with one of vllm-mlx"),
        ("mlx_lm.server=/bin/sh", "names no peer"),
        ("llama-server", "there is no program at ''"),
        ("llama-server=/nowhere/llama-server", "there is no program at '/nowhere/llama-server'"),
    ],
)
def test_a_place_that_cannot_be_is_refused(option: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_places([option])


def test_peers_are_found_where_the_option_says_and_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = program(tmp_path / "named" / "llama-server", "#!/bin/sh\necho 'version: 7 (abc)' >&2\n")
    # What rapid-mlx installs beside its own program: a `vllm-mlx` that is none.
    other = program(tmp_path / "bin" / "vllm-mlx", f"#!{sys.executable}\n")
    monkeypatch.setenv("PATH", f"{other.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
    here, absent = find_peers(parse_places([f"llama-server={named}"]))
    assert [one.peer.name for one in here] == ["mlx_lm.server", "llama-server"]
    assert here[0].version.startswith("mlx-lm 0.")
    assert here[1] == Installed(LLAMA, (str(named),), "7 (abc)")
    assert [line.split()[0] for line in absent] == ["vllm-mlx", "rapid-mlx", "mlx-openai-server"]
    assert "has no package vllm-mlx" in absent[0]
    assert absent[1] == "rapid-mlx (not installed)"


@pytest.mark.slow
def test_a_peer_that_fails_is_told_of_and_the_others_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dying = program(tmp_path / "llama-server", "#!/bin/sh\necho no such architecture\nexit 3\n")
    runs = Installed(MLX_LM, (sys.executable, "-m", MLX_LM.name), "")
    with running([runs, Installed(LLAMA, (str(dying),), "")], TINY) as peers:
        assert peers.titles() == [("mlx_lm.server", "`mlx_lm.server`")]
        assert "llama-server is left out: it ended with code 3: no such architecture" in capsys.readouterr().out
        assert peers.measure(lambda peer: peer.answer("Count from 1 to 150.", 20))["mlx_lm.server"] > 0
        assert peers.measure(lambda peer: peer.decode_rate("Count from 1 to 150.", 20))["mlx_lm.server"] > 0
        assert peers.measure(lambda peer: peer.answer("Reply with exactly OK", 1000)) == {}
        assert peers.titles() == []
    assert "tokens, not 1000" in capsys.readouterr().out
