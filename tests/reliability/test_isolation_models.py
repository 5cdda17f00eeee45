"""No file of a model is run: neither Python, nor pickles, nor what its template asks for."""

import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from tests.model_cache import TINY
from tests.reliability import audited_server
from tests.sharing.sessions import remove_runtime
from tests.source import ROOT
from tests.wire import open_wire

HOSTILE_CODE = "open({marker!r}, 'a').close()\nclass Model: pass\nclass ModelArgs: pass\nclass Tokenizer: pass\n"
ESCAPES = (
    "{{ cycler.__init__.__globals__.os.system('touch MARKER') }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ self.__init__.__globals__.__builtins__.open('MARKER', 'w') }}",
    "{% for one in [].__class__.__base__.__subclasses__() %}{{ one.__init__.__globals__ }}{% endfor %}",
    "{{ lipsum.__globals__['os'].popen('touch MARKER').read() }}",
    "{{ raise_exception.__globals__ }}",
    "{{ messages.__class__.__init__.__globals__ }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{{ '%s' | format(messages.__reduce_ex__(2)) }}",
    "{{ messages | attr('__class__') | attr('__mro__') }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(messages) }}",
)
"""Templates that leave a sandbox which lets them."""


class Planted:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.marker),)


def config(**values: Any) -> Callable[[Path], None]:
    return changed("config.json", values)


def tokenizer(**values: Any) -> Callable[[Path], None]:
    return changed("tokenizer_config.json", values)


def changed(name: str, values: dict[str, Any]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def template(text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "chat_template.jinja").write_text(text.replace("MARKER", str(folder.parent / "pwned")))

    return change


def as_pickle(*names: str) -> Callable[[Path], None]:
    """The weights, or files beside them, as a pickle."""

    def change(folder: Path) -> None:
        for name in names:
            (folder / name).write_bytes(pickle.dumps(Planted(folder.parent / "pwned")))

    return change


AUTO = {"AutoConfig": "evil.ModelArgs", "AutoModel": "evil.Model", "AutoModelForCausalLM": "evil.Model"}
MODELS: dict[str, Callable[[Path], None]] = {
    "as it is, with code beside it": lambda folder: None,
    "its own network": config(auto_map=AUTO),
    "its own network of an unknown type": config(auto_map=AUTO, model_type="evil"),
    "a file for mlx-lm": config(model_file="evil.py"),
    "a file elsewhere": config(model_file="../evil.py"),
    "a type that is a path": config(model_type="../evil"),
    "a type that is a module": config(model_type="evil"),
    "a type that is another module": config(model_type="..server"),
    "its own tokenizer": tokenizer(auto_map={"AutoTokenizer": ["evil.Tokenizer", None]}, tokenizer_class="Tokenizer"),
    "its own fast tokenizer": tokenizer(auto_map={"AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"]}),
    "trust": config(trust_remote_code=True, auto_map=AUTO),
    "trust of the tokenizer": tokenizer(trust_remote_code=True, auto_map={"AutoTokenizer": ["evil.Tokenizer", None]}),
    "a template in code": tokenizer(chat_template_type="evil"),
    "a template in code elsewhere": tokenizer(chat_template_type="..evil"),
    "a tool parser": tokenizer(tool_parser_type="evil"),
    "pickles beside it": as_pickle("pytorch_model.bin", "training_args.bin", "optimizer.pt", "tokenizer.pkl"),
    "a pickle for weights": as_pickle("model.safetensors"),
    "a pickle for a tokenizer": as_pickle("tokenizer.json"),
    "a pickle for settings": as_pickle("config.json"),
    "a pickle for a template": as_pickle("chat_template.jinja"),
    **{f"template {number}": template(text) for number, text in enumerate(ESCAPES)},
}


@pytest.mark.fault(
    "What a model or an agent cannot do",
    "models that bring code: Python files that their settings name, pickles, templates that leave the sandbox",
    promised="none of it is imported, compiled, unpickled or run; the model answers without it or is refused",
)
async def test_no_file_of_a_model_is_run(environ: dict[str, str], home: Path, record_property: Any) -> None:
    record_property("tries", len(MODELS))
    models, told = home / "models", home / "told"
    for number, change in enumerate(MODELS.values()):
        folder = models / f"m{number:02}"
        shutil.copytree(TINY, folder)
        for name in ("evil.py", "sitecustomize.py", "conftest.py", "__init__.py", "setup.py", "tokenizer.py"):
            (folder / name).write_text(HOSTILE_CODE.format(marker=str(models / "pwned")))
        change(folder)
    environ = environ | {"MCP_LOCAL_LLM_FOLDERS": str(models), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", audited_server.__name__, str(told)]
    async with open_wire(environ, command=command) as wire:
        for number in range(len(MODELS)):
            asked = {"model": f"m{number:02}", "message": "Hello", "max_tokens": 4, "thinking": False}
            await wire.answer(await wire.call("chat", **asked))
        last = await wire.answer(await wire.call("chat", message="Hello", model="tiny", thinking=False))
        assert not last["result"].get("isError")
    await anyio.to_thread.run_sync(remove_runtime, environ)
    assert not (models / "pwned").exists()
    events = told.read_text().splitlines()
    assert any("mlx" in line for line in events), "the hook heard nothing"
    assert [line for line in events if str(models) in line or "evil" in line] == []
    assert [line for line in events if line.startswith(("pickle", "subprocess", "os."))] == []
