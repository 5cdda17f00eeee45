"""A model is data from a stranger: whatever its files hold, the process lives and no code of it runs."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random

import pytest

from tests.model_cache import Content, gguf
from tests.reliability import hostile_models as hostile
from tests.reliability.hostile_models import Files
from tests.reliability.steady import WATCHED, Steady
from tests.sharing.sessions import GREETING

GROUP = "Models that are broken or hostile"
REFUSED = "an error names the model and the cause; the process lives and another model answers"
ANSWERED = "an answer, or an error that names the model; the process lives and another model answers"
NO_CODE = "nothing of it is imported, run, unpickled or opened; the process lives and another model answers"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Steady]]:
    """The server of all these tests; a new one where a test has ended it."""
    servers = [Steady(tmp_path_factory.mktemp("models"))]
    yield servers
    servers[-1].close()


@pytest.fixture
def server(shared: list[Steady], tmp_path_factory: pytest.TempPathFactory) -> Steady:
    if shared[-1].process.poll() is not None:
        shared.append(Steady(tmp_path_factory.mktemp("models")))
    return shared[-1]


def attempts(tries: int, cases: Mapping[str, Callable[[], Files]]) -> Iterator[tuple[str, Files]]:
    """The cases of a table, one after the other, as often as is tried; each with a name for its model."""
    names = [*cases]
    for attempt in range(tries):
        # Few tries are spread over the table.
        at = attempt * max(len(names) // tries, 1) % len(names)
        yield f"case-{at:02}-{attempt}", cases[names[at]]()


@pytest.mark.fault(GROUP, "weights that end too early, at any point", promised=REFUSED)
def test_weights_that_end_too_early_are_refused(server: Steady, tries: int) -> None:
    for attempt in range(tries):
        server.place(f"cut-{attempt}", hostile.cut_off(Random(attempt)))
        assert "model.safetensors" in server.refused(f"cut-{attempt}")
        server.remove(f"cut-{attempt}")
    server.lives()


@pytest.mark.fault(GROUP, "weights with flipped bits, in the header or in the numbers", promised=ANSWERED, tries=60)
def test_flipped_bits_cost_at_most_the_answer(server: Steady, tries: int) -> None:
    for attempt in range(tries):
        server.place(f"flip-{attempt}", hostile.flipped(Random(attempt)))
        failed, text = server.chat(f"flip-{attempt}")
        if failed:
            server.check_error(f"flip-{attempt}", text)
        server.remove(f"flip-{attempt}")
    server.lives()


@pytest.mark.fault(GROUP, "weights that are NaN or infinite", promised=REFUSED)
def test_weights_that_are_no_numbers_are_told(server: Steady, tries: int) -> None:
    for attempt in range(tries):
        server.place(f"nan-{attempt}", hostile.not_numbers(Random(attempt)))
        assert "no numbers" in server.refused(f"nan-{attempt}")
        server.remove(f"nan-{attempt}")
    server.lives()


@pytest.mark.parametrize(
    ("part", "cases"),
    [
        pytest.param("headers of weights: lengths, offsets, shapes, types, nesting", hostile.HEADERS, id="headers"),
        pytest.param("config.json: absurd sizes, wrong types, remote code", hostile.CONFIGS, id="configs"),
        pytest.param(
            "tokenizers: broken, huge, growing, catastrophic expressions, ids that clash",
            hostile.TOKENIZERS,
            id="tokenizers",
        ),
        pytest.param(
            "chat templates: endless, a gigabyte, recursion, includes, Python's own attributes",
            hostile.TEMPLATES,
            id="templates",
        ),
    ],
)
@pytest.mark.fault(GROUP, "hostile {part}", promised=REFUSED, tries=30)
def test_hostile_files_are_refused(
    server: Steady, part: str, cases: Mapping[str, Callable[[], Files]], tries: int
) -> None:
    for name, files in attempts(tries, cases):
        server.place(name, files)
        server.refused(name)
        server.remove(name)
        server.lives()


@pytest.mark.fault(GROUP, "code, pickles and paths in a model's folder", promised=NO_CODE, tries=20)
def test_code_and_pickles_are_neither_run_nor_opened(server: Steady, tries: int) -> None:
    for name, files in attempts(tries, hostile.CODE):
        folder = server.place(name, files)
        failed, text = server.chat(name)
        if failed:
            server.check_error(name, text)
        assert not (folder / "ran").exists()
        server.remove(name)
        server.lives()


@pytest.mark.fault(GROUP, "weights that are pickled alone", promised=REFUSED, tries=20)
def test_pickled_weights_are_refused_unopened(server: Steady, tries: int) -> None:
    for attempt in range(tries):
        server.place(f"pickle-{attempt}", hostile.PICKLED_ALONE)
        assert "pickled" in server.refused(f"pickle-{attempt}")
        server.remove(f"pickle-{attempt}")
    server.lives()


LINKS: dict[str, Path] = {
    "chat_template.jinja": Path("/etc/passwd"),
    "tokenizer.json": Path("/dev/zero"),
    "model.safetensors": Path("/dev/zero"),
    "config.json": Path("/dev/urandom"),
    "generation_config.json": Path("/etc"),
    "tokenizer_config.json": Path("/etc/passwd"),
}


@pytest.mark.fault(
    GROUP, "links to a secret, a device or a folder, and a FIFO, in place of a file", promised=REFUSED, tries=24
)
def test_what_is_no_file_of_the_model_is_refused(server: Steady, tries: int) -> None:
    for attempt in range(tries):
        file, target = [*LINKS.items()][attempt % len(LINKS)]
        path = server.place(f"link-{attempt}", {file: None}) / file
        if attempt // len(LINKS) % 2:
            os.mkfifo(path)
        else:
            path.symlink_to(target)
        assert file in server.refused(f"link-{attempt}")
        server.remove(f"link-{attempt}")
    server.lives()


@pytest.mark.fault(GROUP, "an index that names files outside of the folder", promised=REFUSED)
def test_an_index_cannot_name_files_outside(server: Steady, tries: int) -> None:
    outside = ["../tiny/model.safetensors", "/etc/passwd", "../../etc/passwd", "model/../../x.safetensors"]
    for attempt in range(tries):
        index: Content = {"weight_map": {"a": outside[attempt % len(outside)]}}
        server.place(f"index-{attempt}", {"model.safetensors": None, "model.safetensors.index.json": index})
        assert "missing" in server.refused(f"index-{attempt}")
        server.remove(f"index-{attempt}")
    server.lives()


@pytest.mark.fault(
    GROUP,
    "the folder of the loaded model is deleted",
    promised="it goes on answering; once unloaded, it is unknown",
    tries=10,
)
def test_a_loaded_model_outlives_its_folder(server: Steady, tries: int) -> None:
    for attempt in range(tries):
        name = f"gone-{attempt}"
        server.place(name)
        assert server.chat(name) == (False, GREETING)
        server.remove(name)
        assert server.chat(name) == (False, GREETING)
        server.lives()
        failed, text = server.chat(name)
        assert failed
        assert name in text


@pytest.mark.fault(
    GROUP,
    "the weights of the loaded model are cut, spoiled or replaced",
    promised="it goes on answering rightly; loaded anew, what is broken is refused",
    tries=10,
)
def test_a_loaded_model_does_not_see_other_weights(server: Steady, tries: int) -> None:
    for attempt in range(tries):
        random, name = Random(attempt), f"replaced-{attempt}"
        file = server.place(name) / "model.safetensors"
        assert server.chat(name) == (False, GREETING)
        if attempt % 2:
            file.unlink()
            file.write_bytes(random.randbytes(1000))
        else:
            os.truncate(file, random.randrange(len(hostile.WEIGHTS)))
        assert server.chat(name, "Hello") == (False, GREETING)
        server.lives()
        assert "model.safetensors" in server.refused(name)
        server.remove(name)


@pytest.mark.fault(GROUP, "weights, tokenizer and config that change while they are loaded", promised=ANSWERED)
def test_files_that_change_during_the_load_cost_at_most_the_call(server: Steady, tries: int) -> None:
    for attempt in range(tries):
        random, name = Random(attempt), f"changing-{attempt}"
        folder = server.place(name)
        file = folder / random.choice(["model.safetensors", "tokenizer.json", "config.json", "chat_template.jinja"])
        whole = file.read_bytes()
        request = server.begin(name)
        while not server.answered(request):
            os.truncate(file, random.randrange(len(whole)))
            file.write_bytes(whole)
        failed, text = server.result(request)
        if failed:
            server.check_error(name, text)
        server.remove(name)
    server.lives()


@pytest.mark.fault(
    GROUP, "a tokenizer that never ends a prompt", promised="the call ends in time; others are answered", tries=3
)
def test_a_tokenizer_that_never_ends_holds_nobody_up(tmp_path: Path, tries: int) -> None:
    server = Steady(tmp_path, {"MCP_LOCAL_LLM_STEP_TIMEOUT_S": "8"})
    # Each place in the text costs less than the library's own limit, all together take minutes.
    endless = hostile.tokenizer(pre_tokenizer=hostile.split("x*x*y|x"))
    try:
        for attempt in range(tries):
            server.place(f"slow-{attempt}", endless)
            assert "seconds" in server.refused(f"slow-{attempt}", server.begin(f"slow-{attempt}", "x" * 3000))
            server.lives()
    finally:
        server.kill()


GGUF: list[Callable[[], bytes]] = [
    lambda: gguf({"general.architecture": "qwen2"}, {"a": (8, 8)}, 900).head[:30],
    lambda: b"GGUF" + b"\x03\x00\x00\x00" + b"\xff" * 16,
    lambda: gguf({"a": 1}, {}, 0).head[:24] + b"\xff" * 40,
    # A tensor of four billion dimensions, and a vocabulary of 2^60 words.
    lambda: gguf({}, {"a": ()}, 0).head[:-16] + b"\xff\xff\xff\x7f" + bytes(2_000_000),
    lambda: gguf({"a": (1,)}, {}, 0).head[:-16] + b"\x08\x00\x00\x00" + b"\x00" * 7 + b"\x10" + bytes(2_000_000),
    # Tensors that lie behind the end of the file.
    lambda: gguf({"general.architecture": "qwen2"}, {"a": (8, 8)}, 0).head[:-8] + b"\x00" * 6 + b"\x01\x00",
]


@pytest.mark.fault(GROUP, "hostile headers of GGUF files, and GGUF files that are cut off", promised=REFUSED, tries=24)
def test_hostile_gguf_files_are_refused(server: Steady, tries: int) -> None:
    for attempt in range(tries):
        name = f"g{attempt}"
        (server.models / f"{name}.gguf").write_bytes(GGUF[attempt % len(GGUF)]())
        text = server.refused(name)
        assert f"{name}.gguf" in text or "weights" in text, text
        (server.models / f"{name}.gguf").unlink()
    server.lives()


PLANTED = """
import os, pickle, socket, subprocess, sys
sys.path.insert(0, sys.argv[1])
import evil
pickle.loads(b"cos\\ngetpid\\n(tR.")
open(sys.argv[1] + "/model.bin").close()
subprocess.run(["true"])
socket.socket().connect_ex(("127.0.0.1", 9))
"""


def test_the_watcher_sees_what_no_model_may_do(tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text("")
    (tmp_path / "model.bin").touch()
    log = tmp_path / "log"
    environ = {"WATCHED_MODELS": str(tmp_path), "WATCHED_LOG": str(log), "PYTHONPATH": str(WATCHED)}
    subprocess.run([sys.executable, "-c", PLANTED, str(tmp_path)], env=environ, check=True)
    seen = log.read_text()
    for event in ("evil.py", "unpickle", "model.bin", "subprocess.Popen", "socket.connect"):
        assert event in seen
