"""Facts as tests need them: a sound Mac with one model, to be varied."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from mcp_local_llm.doctor import ClaudeCode, Finding, InstallationFacts, Setup, check_facts
from mcp_local_llm.doctor.facts import ChoiceFacts, Facts, LeaseFacts
from mcp_local_llm.models.fit import LoadPlan, plan_load
from mcp_local_llm.models.roles import Registry
from mcp_local_llm.models.speed import Speed
from mcp_local_llm.values.machine import Machine, Memory
from mcp_local_llm.values.model import ModelInfo

CONFIG = Path("/home/me/.config/mcp-local-llm/config.toml")
MAC_32 = Machine("Darwin", "Apple M3 Max", 16, Memory(32 * 2**30, 20 * 2**30, 32 * 2**30 * 2 // 3), 400e9)
LINUX = Machine("Linux", "AMD EPYC", 8, Memory(64 * 2**30, 60 * 2**30))
QWEN = ModelInfo("mlx-community/Qwen3-4B-4bit", Path("q"), "huggingface", weight_bytes=2_263_000_000)
TINY = ModelInfo("tiny", Path("t"), "builtin", weight_bytes=1_800_000, diagnostic=True)
GGUF = ModelInfo("acme/toy", Path("toy.gguf"), "folder", format="gguf", weight_bytes=2_000_000)

INSTALLATION = InstallationFacts(
    versions={"mcp-local-llm": "0.1.0", "Python": "3.12.1", "mlx": "0.32.4", "mlx-lm": "0.32.2", "mlx-cuda": None},
    machine=MAC_32,
    gpu=True,
    registry=Registry(),
    models=(QWEN, TINY),
    llama_server=Path("/usr/bin/llama-server"),
    claude=ClaudeCode(),
)


def plan(model: ModelInfo) -> LoadPlan:
    return plan_load(model, Memory(32 * 2**30, 32 * 2**30), context=8192)


def unmeasured(model: ModelInfo) -> Speed | None:
    return None


SOUND = Facts(
    setup=Setup(CONFIG),
    installation=INSTALLATION,
    choice=ChoiceFacts(QWEN.id, QWEN),
    lease=LeaseFacts(Path("/run/user/1/mcp-local-llm")),
    plan=plan,
    measured=unmeasured,
)


def installation(**changes: Any) -> Facts:
    """Sound facts, but for what was read from the machine."""
    return replace(SOUND, installation=replace(INSTALLATION, **changes))


def told(facts: Facts, name: str) -> list[Finding]:
    """What the check-up tells under this name."""
    return [finding for finding in check_facts(facts) if finding.name == name]
