"""Several machines: what is asked of mlx.launch, and a real one with two processes on this machine."""

import json
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mcp_local_llm.engines.servers.commands import cluster_start, machines_of
from mcp_local_llm.engines.servers.programs import Programs, startable_models
from mcp_local_llm.models.fit import plan_load
from mcp_local_llm.setup.settings_file import load_settings
from mcp_local_llm.values.cluster import Cluster
from mcp_local_llm.values.errors import ConfigError, IncompleteModelError, ModelLoadError
from mcp_local_llm.values.machine import Memory
from mcp_local_llm.values.model import ModelInfo
from tests.engines.servers.asking import ask
from tests.engines.servers.conftest import Compose
from tests.engines.servers.test_servers import gone

GIB = 2**30
MLX_LAUNCH = Programs(mlx_launch=Path("/bin/mlx.launch"))
BIG = ModelInfo("mlx-community/Big-4bit", Path("/models/big"), "huggingface", weight_bytes=100 * GIB)
TWO = {"name": "two-macs", "model": "mlx-community/Big-4bit", "hosts": ["10.0.0.1", "10.0.0.2"]}

REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "no machines": ({"hosts": []}, "either hosts or a hostfile"),
    "both": ({"hostfile": "hosts.json"}, "either hosts or a hostfile"),
    "one machine": ({"hosts": ["10.0.0.1"]}, "at least two machines"),
    "a name instead of an address": ({"hosts": ["10.0.0.1", "mac.local"]}, "not a valid IP"),
    "jaccl without devices": ({"backend": "jaccl"}, "jaccl needs a hostfile"),
    "an unknown backend": ({"backend": "mpi"}, "'ring' or 'jaccl'"),
    "an unknown key": ({"host": "10.0.0.1"}, "no setting 'host'"),
    "a low port": ({"port": 80}, "greater than or equal to 1024"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_cluster_that_cannot_be_is_refused(case: str, tmp_path: Path) -> None:
    changes, reason = REFUSED[case]
    entry: dict[str, object] = {**TWO, **changes}
    lines = [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
    file = tmp_path / "config.toml"
    file.write_text("\n".join(["[[cluster]]", *lines]), encoding="utf-8")
    with pytest.raises(ConfigError, match=reason):
        load_settings(file, {})


def test_an_endpoint_and_a_cluster_cannot_share_a_name(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[[endpoints]]\nname = "box"\nurl = "http://10.0.0.1/v1"\n'
        '[[cluster]]\nname = "Box"\nmodel = "m"\nhosts = ["10.0.0.1", "10.0.0.2"]\n',
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match="called 'box'"):
        load_settings(file, {})


def test_a_cluster_is_a_model_of_the_list_and_each_machine_holds_its_share() -> None:
    models = startable_models([BIG], [Cluster.model_validate(TWO)], MLX_LAUNCH)
    assert [model.id for model in models] == ["mlx-community/Big-4bit", "two-macs/Big-4bit"]
    memory = Memory(total=64 * GIB, available=64 * GIB)
    alone, shared = (plan_load(model, memory, context=8192) for model in models)
    assert not alone.fits
    assert shared.weights * 2 == alone.weights


def test_a_cluster_of_a_model_that_is_not_here_says_so() -> None:
    (model,) = startable_models([], [Cluster.model_validate(TWO)], MLX_LAUNCH)
    assert "every machine of the cluster needs its files first" in model.problems[0]


def test_a_cluster_of_a_home_folder_that_nobody_has_is_not_here_either(tiny: ModelInfo) -> None:
    found = startable_models([tiny], [Cluster.model_validate({**TWO, "model": "~nobody-here/m"})], MLX_LAUNCH)
    (model,) = (one for one in found if one.cluster is not None)
    assert "~nobody-here/m is not on this machine" in model.problems[0]


def test_the_first_host_is_this_machine_and_needs_no_ssh() -> None:
    assert machines_of(Cluster.model_validate(TWO)) == [
        {"ssh": "127.0.0.1", "ips": ["10.0.0.1"]},
        {"ssh": "10.0.0.2", "ips": ["10.0.0.2"]},
    ]


def test_the_command_line_says_what_the_settings_say() -> None:
    entry = {"name": "a", "model": "org/m", "hostfile": "/h.json", "backend": "jaccl", "mode": "pipeline", "port": 5000}
    start = cluster_start(
        Path("/mlx.launch"), Cluster.model_validate(entry), 4321, hostfile=Path("/h.json"), python="py"
    )
    assert " ".join(start.command) == (
        "/mlx.launch --backend jaccl --hostfile /h.json --starting-port 5000 --python py --env HF_HUB_OFFLINE=1 "
        "-- -m mlx_lm server --model org/m --host 127.0.0.1 --port 4321 --pipeline"
    )


async def test_without_its_files_a_cluster_cannot_be_chosen(composed: Compose) -> None:
    app = await composed('[[cluster]]\nname = "two"\nmodel = "org/absent"\nhosts = ["127.0.0.1", "127.0.0.1"]\n')
    with pytest.raises(IncompleteModelError, match="org/absent is not on this machine"):
        await ask(app, "two/absent")


@pytest.mark.slow
async def test_two_processes_answer_the_same_tokens_as_one(
    composed: Compose, models: Path, children: Callable[[], list[psutil.Process]], free_ports: int
) -> None:
    lines = f'[[cluster]]\nname = "two"\nmodel = "{models / "plain"}"\nhosts = ["127.0.0.1", "127.0.0.1"]\n'
    app = await composed(f"{lines}port = {free_ports}\n")
    texts = ("Hello", "What is 3 + 4?")
    together = [await ask(app, "two/plain", text) for text in texts]
    started = children()
    assert len([process for process in started if "mlx_lm" in process.cmdline()]) >= 2
    alone = [await ask(app, "tiny", text) for text in texts]
    assert [(one.text, one.reasoning) for one in together] == [(one.text, one.reasoning) for one in alone]
    assert {one.model for one in together} == {"two/plain"}
    assert await gone(started)


@pytest.mark.slow
async def test_a_cluster_that_fails_says_why(composed: Compose, models: Path, free_ports: int) -> None:
    lines = f'[[cluster]]\nname = "two"\nmodel = "{models / "plain"}"\nhosts = ["127.0.0.1", "127.0.0.1"]\n'
    app = await composed(f'{lines}port = {free_ports}\nmode = "pipeline"\n')
    with pytest.raises(ModelLoadError, match="does not support pipelining"):
        await ask(app, "two/plain")
