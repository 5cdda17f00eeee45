"""Endpoints from the settings to the answer: listed, chosen and asked like any other model."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from mcp_local_llm.app import App
from mcp_local_llm.doors.results_text import switch_text, table_text
from mcp_local_llm.llm.llm import collect_result
from mcp_local_llm.setup.settings_file import load_settings
from mcp_local_llm.values.errors import AmbiguousModelError, BackendUnavailableError, ConfigError, UnknownModelError
from mcp_local_llm.values.progress import Progress
from tests.apps import Apps, many
from tests.clients import WAIT_S
from tests.engines.http.asking import HELLO
from tests.engines.http.fake_server import counts, delta, fake_server, says

HI = says(delta(content="Hi from afar"), delta(finish="stop"), counts())


@pytest.fixture
async def apps() -> AsyncIterator[Apps]:
    """Applications that end with the test."""
    async with many() as opened:
        yield opened


def settings_file(home: Path, text: str) -> Path:
    path = home / ".config" / "mcp-local-llm" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


async def app_with(apps: Apps, environ: dict[str, str], home: Path, *endpoints: str) -> App:
    settings_file(home, "\n".join(f"[[endpoints]]\n{lines}" for lines in endpoints))
    return await apps.open(environ, home)


async def test_models_of_an_endpoint_are_listed_chosen_and_asked(
    apps: Apps, environ: dict[str, str], home: Path
) -> None:
    with anyio.fail_after(WAIT_S):
        async with fake_server(HI, models=["qwen3-32b", "gemma"]) as server:
            llm = (await app_with(apps, environ, home, f'name = "gpubox"\nurl = "{server.url}/"')).llm
            table = await llm.list_models()
            assert [(row.name, row.size_bytes, row.fit, row.endpoint) for row in table.models][:2] == [
                ("gpubox/gemma", None, "on gpubox", server.url),
                ("gpubox/qwen3-32b", None, "on gpubox", server.url),
            ]
            assert "gpubox/qwen3-32b" in table_text(table, "")
            switch = await llm.set_model("32b", lambda _: None)
            assert (switch.model, switch.endpoint, switch.size_bytes) == ("gpubox/qwen3-32b", server.url, None)
            assert switch_text(switch).startswith(f"gpubox/qwen3-32b is the choice; calls go to {server.url}.")
            result = await collect_result(llm.chat(HELLO, lambda _: None))
            assert (result.text, result.model) == ("Hi from afar", "gpubox/qwen3-32b")
            assert server.posted["model"] == "qwen3-32b"
            assert (await llm.list_models()).chosen == "gpubox/qwen3-32b"
            assert (await llm.status()).notes == [f"Calls go to {server.url}; nothing is resident here for them."]


async def test_the_resident_model_stays_while_an_endpoint_answers(
    apps: Apps, environ: dict[str, str], home: Path
) -> None:
    with anyio.fail_after(WAIT_S):
        async with fake_server(HI) as server:
            llm = (await app_with(apps, environ, home, f'name = "box"\nurl = "{server.url}"')).llm
            await llm.set_model("tiny", lambda _: None)
            assert (await collect_result(llm.chat(HELLO, lambda _: None, model="box/m"))).text == "Hi from afar"
            assert ((await llm.status()).state, (await llm.status()).model) == ("ready", "tiny")
            seen: list[Progress] = []
            await collect_result(llm.chat(HELLO, seen.append))
            assert "loading" not in [step.phase for step in seen]


async def test_sampling_values_of_the_settings_are_for_the_model_here(
    apps: Apps, environ: dict[str, str], home: Path
) -> None:
    with anyio.fail_after(WAIT_S):
        async with fake_server(HI) as server:
            settings = {**environ, "MCP_LOCAL_LLM_TOP_K": "20"}
            llm = (await app_with(apps, settings, home, f'name = "box"\nurl = "{server.url}"')).llm
            await collect_result(llm.chat(HELLO, lambda _: None, model="box/m"))
            assert "top_k" not in server.posted


async def test_an_endpoint_that_does_not_answer_is_a_warning_and_its_choice_an_error(
    apps: Apps, environ: dict[str, str], home: Path
) -> None:
    async with fake_server(HI) as server:
        gone = server.url
    with anyio.fail_after(WAIT_S):
        llm = (await app_with(apps, environ, home, f'name = "box"\nurl = "{gone}"')).llm
        table = await llm.list_models()
        assert [row.name for row in table.models] == ["tiny"]
        assert table.warnings[0].startswith("The models of box are not listed. box (http://127.0.0.1")
        with pytest.raises(BackendUnavailableError, match="cannot be reached"):
            await llm.set_model("box/anything", lambda _: None)
        assert (await llm.list_models()).chosen == "tiny"
        with pytest.raises(UnknownModelError):
            await llm.set_model("box", lambda _: None)


async def test_a_saved_choice_behind_an_endpoint_needs_no_list(apps: Apps, environ: dict[str, str], home: Path) -> None:
    with anyio.fail_after(WAIT_S):
        async with fake_server(HI) as server:
            (home / ".config" / "mlx-mcp").mkdir(parents=True)
            (home / ".config" / "mlx-mcp" / "active_model").write_text("box/m\n")
            dead = 'name = "dead"\nurl = "http://127.0.0.1:9/v1"'
            llm = (await app_with(apps, environ, home, f'name = "box"\nurl = "{server.url}"', dead)).llm
            assert (await collect_result(llm.chat(HELLO, lambda _: None))).text == "Hi from afar"
            assert [request.path for request in server.received] == ["/v1/models", "/v1/chat/completions"]


async def test_models_that_the_settings_name_are_listed_without_asking(
    apps: Apps, environ: dict[str, str], home: Path
) -> None:
    llm = (
        await app_with(apps, environ, home, 'name = "box"\nurl = "http://127.0.0.1:9/v1"\nmodels = ["a", "org/b"]')
    ).llm
    table = await llm.list_models()
    assert [row.name for row in table.models] == ["box/a", "box/org/b", "tiny"]
    assert not [warning for warning in table.warnings if "box" in warning]


async def test_two_endpoints_with_one_model_are_told_apart(apps: Apps, environ: dict[str, str], home: Path) -> None:
    boxes = [f'name = "{name}"\nurl = "http://127.0.0.1:9/v1"\nmodels = ["qwen3-8b-4bit"]' for name in ("one", "two")]
    llm = (await app_with(apps, environ, home, *boxes)).llm
    with pytest.raises(AmbiguousModelError, match=r"1\. one/qwen3-8b-4bit \(on one\)"):
        await llm.set_model("8b", lambda _: None)


async def test_a_server_s_models_are_asked_for_once_in_a_while(apps: Apps, environ: dict[str, str], home: Path) -> None:
    with anyio.fail_after(WAIT_S):
        async with fake_server(HI) as server:
            llm = (await app_with(apps, environ, home, f'name = "box"\nurl = "{server.url}"')).llm
            await llm.list_models()
            await llm.list_models()
            assert len(server.received) == 1


async def test_endpoints_of_the_registry_are_offered_and_not_asked(
    apps: Apps, environ: dict[str, str], home: Path
) -> None:
    with anyio.fail_after(WAIT_S):
        async with fake_server(HI) as server:
            registry = home / ".config" / "ai-stack" / "registry.json"
            registry.parent.mkdir(parents=True)
            registry.write_text(json.dumps({"endpoints": {"mlx_local": server.url, "box": "http://u:p@10.0.0.1/v1"}}))
            table = await (await app_with(apps, environ, home)).llm.list_models()
            assert f'[[endpoints]] name = "mlx_local" url = "{server.url}"' in table.warnings[0]
            assert "u:p@" not in "".join(table.warnings)
            assert not server.received


WRONG: dict[str, tuple[str, str]] = {
    "an unknown flavor": ('name = "a"\nurl = "http://h/v1"\nflavor = "x"', r"endpoints\[1\]\.flavor.*'llama-server'"),
    "an unknown key": ('name = "a"\nurl = "http://h/v1"\nkey = "x"', "no setting 'key'. Known settings: name, url"),
    "no url": ('name = "a"', r"endpoints\[1\]\.url' is missing"),
    "another scheme": ('name = "a"\nurl = "ftp://h"', "must begin with http"),
    "a password": ('name = "a"\nurl = "http://me:hunter2@h/v1"', "must not hold credentials"),
    "a slash in the name": ('name = "a/b"\nurl = "http://h/v1"', r"endpoints\[1\]\.name"),
    "a key for its variable": ('name = "a"\nurl = "http://h/v1"\napi_key_env = "sk-hunter2"', "api_key_env"),
    "two of one name": ('name = "a"\nurl = "http://h/v1"\n[[endpoints]]\nname = "A"\nurl = "http://i/v1"', "two endp"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "words"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_endpoint_is_refused_by_name_and_shows_no_secret(tmp_path: Path, lines: str, words: str) -> None:
    path = settings_file(tmp_path, f"[[endpoints]]\n{lines}")
    with pytest.raises(ConfigError, match=words) as caught:
        load_settings(path, {})
    assert "hunter2" not in str(caught.value)


async def test_a_server_without_endpoints_never_loads_the_http_library(environ: dict[str, str]) -> None:
    code = "import sys, mcp_local_llm.app; sys.exit('mcp_local_llm.engines.http.connection' in sys.modules)"
    done = await anyio.run_process([sys.executable, "-c", code], env=environ, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize(
    ("told", "settings", "window"),
    [
        (4096, "", 4096),
        (4096, 'models = ["m"]', 4096),
        (4096, "context_length = 2048", 2048),
        (None, 'context_length = 2048\nmodels = ["m"]', 2048),
        (None, "", None),
    ],
)
@pytest.mark.parametrize("model", ["box/m", "m"])
async def test_the_window_of_a_model_is_that_of_the_settings_or_else_what_its_server_tells(
    model: str, told: int | None, settings: str, window: int | None, apps: Apps, environ: dict[str, str], home: Path
) -> None:
    with anyio.fail_after(WAIT_S):
        async with fake_server(HI, window=told) as server:
            settings_file(home, f'model = "{model}"\n[[endpoints]]\nname = "box"\nurl = "{server.url}"\n{settings}')
            llm = (await apps.open(environ, home)).llm
            counts = await llm.count(("text",), lambda _: None)
            assert (counts.model, counts.window, counts.estimated) == ("box/m", window, True)


@pytest.mark.parametrize("length", ["0", "-5", '"8k"', "1.5"])
async def test_a_window_that_is_no_number_of_tokens_is_refused_by_name(home: Path, length: str) -> None:
    path = settings_file(home, f'[[endpoints]]\nname = "box"\nurl = "http://x/v1"\ncontext_length = {length}')
    with pytest.raises(ConfigError, match="context_length"):
        load_settings(path, {})
