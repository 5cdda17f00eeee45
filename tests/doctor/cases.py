"""What the check-up tells of each fact: facts, the finding's name, its verdict, and words of it."""

from dataclasses import replace
from pathlib import Path

from mcp_local_llm.doctor import ClaudeCode, Setup
from mcp_local_llm.doctor.facts import ChoiceFacts, EndpointFacts, Facts, LeaseFacts
from mcp_local_llm.models.roles import Registry
from mcp_local_llm.models.speed import Speed
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.values.endpoint import DetectedServer, Endpoint
from mcp_local_llm.values.model import ModelInfo, endpoint_model
from tests.doctor.facts import CONFIG, GGUF, LINUX, QWEN, SOUND, TINY, installation
from tests.statuses import READY

BROKEN = ModelInfo("acme/half", Path("h"), "huggingface", problems=("2 of 4 files are missing",))
HUGE = ModelInfo("acme/huge", Path("h"), "folder", weight_bytes=60 * 2**30)
BOX = Endpoint(name="box", url="http://192.168.1.20:8000/v1")
NEAR = Endpoint(name="near", url="http://localhost:11434/v1")
HOLDER = READY.model_copy(
    update={"model": QWEN.id, "calls_running": 1, "waiting": 3, "pid": 77, "holder_pid": 77, "clients": 2}
)
FOLDER = Path("/run/x")


def slow(model: ModelInfo) -> Speed | None:
    return Speed(3.2, measured=True)


WORDS_ONLY = replace(
    SOUND, setup=Setup(CONFIG, environ={"HF_TOKEN": "hf_abc", "HF_ENDPOINT": "https://me:pw@hub/x?t=1"})
)

CASES: dict[str, tuple[Facts, str, str, list[str]]] = {
    "an engine that is not installed": (
        installation(versions={"Python": "3.12.1", "mlx": None, "mlx-lm": "0.32.2"}),
        "versions",
        "problem",
        ["mlx not installed", "Install mcp-local-llm again"],
    ),
    "versions": (SOUND, "versions", "ok", ["mcp-local-llm 0.1.0, Python 3.12.1, mlx 0.32.4, mlx-lm 0.32.2"]),
    "a Mac": (SOUND, "machine", "ok", ["Apple M3 Max, 16 cores, Darwin", "34.4 GB of memory", "GPU may hold 22.9 GB"]),
    "an idle GPU": (installation(machine=LINUX, gpu=True), "GPU", "note", ["CUDA build is not installed", "[cuda]"]),
    "default settings": (SOUND, "settings", "ok", ["is not there, which is fine", "all defaults"]),
    "wrong settings": (
        replace(SOUND, setup=Setup(CONFIG, error="config.toml: there is no setting 'modell'.")),
        "settings",
        "problem",
        ["there is no setting 'modell'", "uses the defaults"],
    ),
    "variables of others": (WORDS_ONLY, "variables", "ok", ["HF_ENDPOINT=https://hub/x", "HF_TOKEN is set"]),
    "a sound model": (SOUND, "models", "ok", ["mlx-community/Qwen3-4B-4bit (2.3 GB)"]),
    "no model": (installation(models=(TINY,)), "models", "problem", ["built-in test model", "mcp-local-llm pull"]),
    "no model, but an endpoint": (
        replace(installation(models=(TINY,)), endpoints=(EndpointFacts(BOX, ("m",)),)),
        "models",
        "ok",
        ["endpoints serve some"],
    ),
    "a broken model": (
        installation(models=(BROKEN,)),
        "models",
        "note",
        ["2 of 4 files are missing", "pull acme/half` continues"],
    ),
    "a choice": (SOUND, "choice", "ok", ["saved: mlx-community/Qwen3-4B-4bit; a chat uses"]),
    "a choice that is gone": (
        replace(SOUND, choice=ChoiceFacts("acme/gone", error="No model here is called 'acme/gone'.\n  1. acme/near")),
        "choice",
        "problem",
        ["saved: acme/gone; No model here is called", "mcp-local-llm use NAME", "  1. acme/near"],
    ),
    "a choice that can never fit": (
        replace(SOUND, choice=ChoiceFacts(HUGE.id, HUGE)),
        "choice",
        "problem",
        ["acme/huge needs", "smaller model"],
    ),
    "roles": (
        installation(registry=Registry(roles={"coding": QWEN.id, "oss": None})),
        "registry",
        "ok",
        [f"coding = {QWEN.id}"],
    ),
    "a role without its model": (
        installation(registry=Registry(roles={"oss": "acme/gone"})),
        "registry",
        "note",
        ["'oss' stands for acme/gone"],
    ),
    "a broken registry": (
        installation(registry=Registry(warnings=("r.json is not valid JSON (line 3).",))),
        "registry",
        "problem",
        ["line 3"],
    ),
    "an endpoint that others know": (
        installation(registry=Registry(endpoints={"nas": "http://nas:1/v1"})),
        "registry",
        "note",
        ["[[endpoints]] name"],
    ),
    "no holder": (SOUND, "sharing", "ok", ["no process holds a model", "mcp-local-llm is sound"]),
    "a holder": (
        replace(SOUND, lease=LeaseFacts(FOLDER, pid=77, version="0.1.0", status=HOLDER)),
        "sharing",
        "ok",
        [f"process 77 (version 0.1.0) holds {QWEN.id}", "sessions attached: 2, calls running: 1, in line: 3"],
    ),
    "a holder whose engine hangs": (
        replace(
            SOUND,
            lease=LeaseFacts(
                FOLDER, pid=77, version="0.1.0", status=HOLDER.model_copy(update={"notes": ["The MLX engine hangs."]})
            ),
        ),
        "sharing",
        "note",
        ["reports: The MLX engine hangs."],
    ),
    "an older holder": (
        replace(SOUND, lease=LeaseFacts(FOLDER, pid=77, version="0.0.9", status=HOLDER)),
        "sharing",
        "note",
        ["runs version 0.0.9"],
    ),
    "a holder that says nothing": (
        replace(SOUND, lease=LeaseFacts(FOLDER, pid=77, version="0.1.0", silent="no answer")),
        "sharing",
        "problem",
        ["process 77 (version 0.1.0), which does not answer", "End that process"],
    ),
    "a folder that is open to others": (
        replace(SOUND, lease=LeaseFacts(FOLDER, "/run/x is open to other users.")),
        "sharing",
        "problem",
        ["/run/x is open"],
    ),
    "llama-server": (SOUND, "llama-server", "ok", ["/usr/bin/llama-server"]),
    "no llama-server and no need": (installation(llama_server=None), "llama-server", "ok", ["no GGUF model needs it"]),
    "a GGUF model beside others": (
        installation(llama_server=None, models=(QWEN, GGUF)),
        "llama-server",
        "note",
        ["1 GGUF model cannot", "brew install"],
    ),
    "nothing but a GGUF model": (
        installation(llama_server=None, models=(GGUF, TINY)),
        "llama-server",
        "problem",
        ["1 GGUF model cannot run"],
    ),
    "a llama-server that is not where it should be": (
        replace(installation(llama_server=None), setup=Setup(CONFIG, Settings(llama_server=Path("/nowhere")))),
        "llama-server",
        "problem",
        ["names /nowhere", "Correct the setting"],
    ),
    "a Linux CPU": (
        installation(machine=LINUX, gpu=False),
        "engine",
        "note",
        ["MLX is not tuned for this CPU", "GGUF", "endpoint"],
    ),
    "a Linux CPU that was measured": (
        replace(installation(machine=LINUX, gpu=False), measured=slow),
        "engine",
        "note",
        [f"Measured here: {QWEN.id} 3.2 tok/s (slow)."],
    ),
    "an endpoint": (
        replace(SOUND, endpoints=(EndpointFacts(BOX, ("a", "b", "c", "d")),)),
        "endpoint",
        "ok",
        ["box", "a, b, c and 1 more"],
    ),
    "an endpoint that sleeps": (
        replace(SOUND, endpoints=(EndpointFacts(BOX, error="box cannot be reached.", absent=True),)),
        "endpoint",
        "note",
        ["box cannot be reached."],
    ),
    "an endpoint that sleeps with the choice": (
        replace(
            SOUND,
            choice=ChoiceFacts("box/m", endpoint_model(BOX, "m")),
            endpoints=(EndpointFacts(BOX, error="box cannot be reached.", absent=True),),
        ),
        "endpoint",
        "problem",
        ["Until then its models cannot answer."],
    ),
    "an endpoint without its key": (
        replace(SOUND, endpoints=(EndpointFacts(BOX, error="BOX_KEY is not set."),)),
        "endpoint",
        "problem",
        ["BOX_KEY"],
    ),
    "Claude Code that does not know us": (
        installation(claude=ClaudeCode(Path("/bin/claude"))),
        "Claude Code",
        "note",
        ["Run `claude mcp add --scope user local-llm -- mcp-local-llm`."],
    ),
    "Claude Code that knows us": (
        installation(claude=ClaudeCode(Path("/bin/claude"), Path("/home/me/.claude.json"))),
        "Claude Code",
        "ok",
        [".claude.json"],
    ),
    "a server nobody configured": (
        replace(SOUND, servers=(DetectedServer(11434, "ollama", ("qwen3:4b",)),)),
        "server",
        "note",
        [
            "Ollama answers on port 11434; it has qwen3:4b; the settings do not know it",
            f"add these lines to {CONFIG}:\n"
            '[[endpoints]]\nname = "ollama"\nurl = "http://127.0.0.1:11434/v1"\nflavor = "ollama"',
        ],
    ),
    "a server that wants a key": (
        replace(SOUND, servers=(DetectedServer(8000, None, locked=True),)),
        "server",
        "note",
        ["wants a key", 'name = "local"', 'flavor = "openai"', 'api_key_env = "LOCAL_KEY"'],
    ),
    "a server that the settings know as another": (
        replace(SOUND, setup=Setup(CONFIG, Settings(endpoints=(NEAR,))), servers=(DetectedServer(11434, "ollama"),)),
        "server",
        "note",
        ["the settings know it as near", 'flavor = "ollama"'],
    ),
    "our own server": (
        replace(SOUND, servers=(DetectedServer(11535, "mcp-local-llm"),)),
        "server",
        "ok",
        ["sessions here use its model by themselves"],
    ),
    "our own server with a key": (
        replace(SOUND, servers=(DetectedServer(11535, "mcp-local-llm", locked=True),)),
        "server",
        "ok",
        [
            "wants a key; sessions of the user who started it use its model by themselves, without the key",
            f"If that is another user: to choose its models here, add these lines to {CONFIG}:\n"
            '[[endpoints]]\nname = "mcp-local-llm"\nurl = "http://127.0.0.1:11535/v1"\nflavor = "mcp-local-llm"\n'
            'api_key_env = "LOCAL_LLM_KEY"',
        ],
    ),
    "our own server, and nothing is shared": (
        replace(
            SOUND, setup=Setup(CONFIG, Settings(share=False)), servers=(DetectedServer(11535, "mcp-local-llm", ("m",)),)
        ),
        "server",
        "ok",
        ["share is false", 'flavor = "mcp-local-llm"'],
    ),
}
