"""opencode against `serve`, through each of its APIs: a plain answer, a tool loop, and structured output, which it asks
for by a forced call.

Its prompt has thirty thousand characters, so the model is one with a long window that recites what the test wants.
"""

import json
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.behaviour.reciting_model import Script, cut, write_reciting_model
from tests.client_programs.test_client_programs import INSTALLED, LONG_WAIT_S
from tests.clients import private_environ
from tests.doors.http.test_serve import serve

OPENCODE = INSTALLED / "node" / "node_modules" / "opencode-linux-x64" / "bin" / "opencode"

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not OPENCODE.exists(), reason="The locked opencode is that of Linux on x64."),
]

MODEL = "reciting"
SCHEMA = {
    "type": "object",
    "properties": {"legs": {"type": "integer", "enum": [10]}},
    "required": ["legs"],
    "additionalProperties": False,
}
# Which script is recited: of a request without tools (opencode asks for a title), behind a tool's result, by the words.
CHOOSER = (
    "{%- set last = messages[-1] -%}{%- set ns = namespace(script='DONE') -%}"
    "{%- if not tools -%}{%- set ns.script = 'TITLE' -%}{%- elif last.role == 'user' -%}"
    "{%- for name in openings -%}{%- if name in last.content -%}{%- set ns.script = name -%}{%- endif -%}{%- endfor -%}"
    "{%- endif -%}{%- set said = ns.script -%}{#- <tool_call> tool_call.name -#}"
)


def write_model(folder: Path, file: Path) -> None:
    """Write a model that reads `file` where it is told READ."""
    call = json.dumps({"name": "read", "arguments": {"filePath": str(file)}})
    scripts = {
        "PLAIN": Script(cut("Ten legs.")),
        "READ": Script(cut(f"I read it.\n<tool_call>\n{call}\n</tool_call>")),
        "DONE": Script(cut("The file says: Buy milk.")),
        "TITLE": Script(cut("A title")),
        # It wants to call something; the grammar leaves one call that sorts before all others.
        "STRUCTURED": Script(("<tool_call>", "x"), whole_tags=True),
    }
    write_reciting_model(folder, scripts, chooser=CHOOSER)


@contextmanager
def opencode(folder: Path, environ: dict[str, str]) -> Generator[httpx.Client]:
    """Run opencode's own server in `folder`."""
    process = subprocess.Popen(
        [OPENCODE, "serve", "--hostname", "127.0.0.1", "--port", "0"],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    alarm = threading.Timer(LONG_WAIT_S, process.kill)
    alarm.start()
    try:
        assert process.stdout is not None
        said = list[str]()
        for line in process.stdout:
            said.append(line)
            if "http://" in line:
                break
        alarm.cancel()
        assert said, "opencode said nothing"
        assert "http://" in said[-1], said
        with httpx.Client(base_url=said[-1].split()[-1], timeout=LONG_WAIT_S) as client:
            yield client
    finally:
        alarm.cancel()
        process.kill()
        process.communicate()


DOORS = {
    "chat": "@ai-sdk/openai-compatible",
    "messages": "@ai-sdk/anthropic",
    "responses": "@ai-sdk/openai",
}
"""The last part of an API's path → the library by which opencode speaks to it."""


def configured(environ: dict[str, str], url: str) -> dict[str, str]:
    """Make opencode's environment: one provider for each API, and nothing fetched from elsewhere."""
    models = {MODEL: {"limit": {"context": 100_000, "output": 4096}}}
    providers = {
        door: {"npm": library, "options": {"baseURL": url, "apiKey": "none"}, "models": models}
        for door, library in DOORS.items()
    }
    settings = {"autoupdate": False, "share": "disabled", "model": f"chat/{MODEL}", "small_model": f"chat/{MODEL}"}
    off = {
        f"OPENCODE_DISABLE_{what}": "1" for what in ("AUTOUPDATE", "DEFAULT_PLUGINS", "LSP_DOWNLOAD", "MODELS_FETCH")
    }
    return {**environ, **off, "OPENCODE_CONFIG_CONTENT": json.dumps({**settings, "provider": providers})}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Generator[httpx.Client]:
    """A client of opencode's server, before a server of ours."""
    home, work = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("work")
    (work / "notes.txt").write_text("Buy milk.\n")
    write_model(home / "models" / MODEL, work / "notes.txt")
    environ = {**private_environ(home), "MCP_LOCAL_LLM_FOLDERS": str(home / "models")}
    with serve(environ, "--model", MODEL) as served, opencode(work, configured(environ, served.url)) as client:
        yield client


@pytest.mark.parametrize("door", DOORS)
def test_opencode_answers_loops_through_a_tool_and_gets_its_structured_output(client: httpx.Client, door: str) -> None:
    session = client.post("/session", json={}).json()["id"]

    def ask(text: str, **fields: Any) -> dict[str, Any]:
        model = {"providerID": door, "modelID": MODEL}
        body = {"parts": [{"type": "text", "text": text}], "model": model, **fields}
        reply = client.post(f"/session/{session}/message", json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def texts(answer: dict[str, Any]) -> list[str]:
        assert answer["info"]["providerID"] == door
        return [part["text"] for part in answer["parts"] if part["type"] == "text"]

    assert texts(ask("PLAIN")) == ["Ten legs."]
    assert texts(ask("READ")) == ["The file says: Buy milk."]
    structured = ask("STRUCTURED", format={"type": "json_schema", "schema": SCHEMA})
    assert "error" not in structured["info"], structured["info"]["error"]
    assert structured["info"]["structured"] == {"legs": 10}
