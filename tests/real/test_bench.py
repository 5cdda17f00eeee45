"""`bench` on the real model: its GGUF behind a real llama-server, as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_local_llm.bench.task_set import CODE
from mcp_local_llm.values.bench import BenchReport
from tests.client_programs.test_client_programs import LONG_WAIT_S
from tests.clients import private_environ
from tests.engines.servers.conftest import BUILT
from training.real_model import RealModel

pytestmark = pytest.mark.real


def bench(environ: dict[str, str], *arguments: str) -> list[BenchReport]:
    command = [sys.executable, "-m", "mcp_local_llm", "bench", *arguments, "--json"]
    done = subprocess.run(
        command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2 * LONG_WAIT_S
    )
    assert done.returncode == 0, done.stderr
    return [BenchReport.model_validate(one) for one in json.loads(done.stdout)["reports"]]


def test_the_gguf_is_measured_drawn_scored_and_compared(model: RealModel, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    settings = {
        "MCP_LOCAL_LLM_FOLDERS": str(model.gguf.parent),
        "MCP_LOCAL_LLM_LLAMA_SERVER": str(BUILT),
        # See test_gguf.
        "LLAMA_ARG_THREADS": "1",
    }
    environ = private_environ(home) | settings
    name = model.gguf.stem
    chart = tmp_path / "speed.png"
    (speed,) = bench(environ, name, "--rounds", "1", "--prompt", "256", "--chart", str(chart))
    names = {figure.name for figure in speed.figures}
    assert {"short answer", "long answer", "prompt of 256 tokens", "8 at once"} <= names
    assert chart.read_bytes().startswith(b"\x89PNG")
    (tasks,) = bench(environ, name, "--tasks", "--task", "classify-logs", "--task", CODE, "--run-code", "--yes")
    assert [score.kind for score in tasks.scores] == ["classify-logs", CODE]
    # A model of 135 million parameters does little of it, and the report says so.
    assert sum(score.right for score in tasks.scores) < sum(score.total for score in tasks.scores)
    assert len(bench(environ, "--compare", speed.model, speed.model)) == 4
