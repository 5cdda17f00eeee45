"""Tables of the known OpenAI-compatible servers: the fields that each one accepts, and how to recognise it. Pure.

No other module depends on which server it talks to. Responses are read without a table: reasoning in any of three
fields, tool calls structured or as raw markup, usage or none. Recognition uses a server's usual port, the `owned_by` of
its list of models, its `Server` header, and at last probes: paths that only one kind of server answers in this way.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mcp_local_llm.values.endpoint import FlavorName
from mcp_local_llm.wire.json_values import JsonObject, as_list, as_object, as_text

Switch = Mapping[bool, Mapping[str, Any]]
"""Thinking on or off → the fields of the body that bring it about; empty where there is no such field."""

ForcedCalls = Literal["", "required", "named"]
"""How calls can be forced by `tool_choice`: not at all, some call of the offered tools, or also that of a named one."""

TEMPLATE_SWITCH: Switch = {
    True: {"chat_template_kwargs": {"enable_thinking": True}},
    False: {"chat_template_kwargs": {"enable_thinking": False}},
}

FIELD_SWITCH: Switch = {True: {"enable_thinking": True}, False: {"enable_thinking": False}}

EFFORT_SWITCH: Switch = {True: {"reasoning_effort": "medium"}, False: {"reasoning_effort": "none"}}

OPENAI_SAMPLING: Mapping[str, str] = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}

LOCAL_SAMPLING: Mapping[str, str] = {
    **OPENAI_SAMPLING,
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
}

LLAMA_SAMPLING: Mapping[str, str] = {**LOCAL_SAMPLING, "repetition_penalty": "repeat_penalty"}

LM_STUDIO_SAMPLING: Mapping[str, str] = {
    **OPENAI_SAMPLING,
    "top_k": "top_k",
    "repetition_penalty": "repeat_penalty",
}

VLLM_MLX_SAMPLING: Mapping[str, str] = {
    name: name
    for name in (
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "stop",
        "presence_penalty",
        "repetition_penalty",
    )
}


@dataclass(frozen=True)
class Flavor:
    """The fields that one kind of server accepts.

    Attributes:
        title: what the program is called in messages.
        start: advice for an address that does not answer.
        sampling: our sampling field → its name there; a field that is not listed is refused by name.
        thinking: how reasoning is switched on and off.
        thinking_budget: the field that limits the tokens of reasoning; None where there is none.
        schema: whether `response_format` with a JSON schema is obeyed, not just accepted.
        stream_usage: whether `stream_options.include_usage` is known.
        default_max_tokens: sent where the request names no limit and the server's own would cut answers short.
        extra: further fields that every request carries.
        raw: whether the content may hold markup; our own server has taken it apart by the rules that we would use.
        completions: whether a raw prompt is sent, to `POST /completions`.
        forced_calls: what `tool_choice` brings about there, not just what is accepted.
    """

    title: str
    start: str = "Start the server, or check its url in the settings."
    sampling: Mapping[str, str] = field(default_factory=lambda: OPENAI_SAMPLING)
    thinking: Switch = field(default_factory=dict[bool, Mapping[str, Any]])
    thinking_budget: str | None = None
    schema: bool = True
    stream_usage: bool = True
    default_max_tokens: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    raw: bool = True
    completions: bool = False
    forced_calls: ForcedCalls = "named"


GENERIC = Flavor("an OpenAI-compatible server")


FLAVORS: Mapping[FlavorName, Flavor] = {
    "auto": GENERIC,
    "openai": GENERIC,
    # mlx_lm 0.32 server.py: reads these fields, ignores response_format and tool_choice; max_tokens is 512 by default.
    "mlx_lm.server": Flavor(
        "mlx_lm.server",
        "Start it with `mlx_lm.server --model MODEL --port PORT`.",
        sampling=LOCAL_SAMPLING,
        thinking=TEMPLATE_SWITCH,
        schema=False,
        default_max_tokens=8192,
        forced_calls="",
    ),
    # vllm_mlx/api/models.py, ChatCompletionRequest: these fields, no seed and no frequency_penalty.
    "vllm-mlx": Flavor(
        "vllm-mlx",
        "Start it with `vllm-mlx serve MODEL --port PORT`.",
        sampling=VLLM_MLX_SAMPLING,
        thinking=FIELD_SWITCH,
        forced_calls="",
    ),
    # docs.vllm.ai, "Reasoning Outputs"; thinking_token_budget since 0.19, with a reasoning parser configured.
    "vllm": Flavor(
        "vLLM",
        "Start it with `vllm serve MODEL --port PORT`.",
        sampling=LOCAL_SAMPLING,
        thinking=TEMPLATE_SWITCH,
        thinking_budget="thinking_token_budget",
    ),
    # llama.cpp tools/server/README.md; return_progress puts prompt_progress into the stream;
    # thinking_budget_tokens: tools/server/server-common.cpp. A named tool_choice is taken for "auto" (#26535).
    "llama-server": Flavor(
        "llama-server",
        "Start it with `llama-server -m MODEL.gguf --jinja --port PORT`.",
        sampling=LLAMA_SAMPLING,
        thinking=TEMPLATE_SWITCH,
        thinking_budget="thinking_budget_tokens",
        extra={"return_progress": True},
        forced_calls="required",
    ),
    # A proxy: the body goes through to a llama-server as it is.
    "llama-swap": Flavor(
        "llama-swap",
        "Start it with `llama-swap --config CONFIG.yaml`.",
        sampling=LLAMA_SAMPLING,
        thinking=TEMPLATE_SWITCH,
        forced_calls="required",
    ),
    # docs.ollama.com/api/openai-compatibility: the fields it reads; top_k and others are dropped without a word.
    "ollama": Flavor(
        "Ollama",
        "Start it with `ollama serve`; its url ends in /v1.",
        thinking=EFFORT_SWITCH,
        forced_calls="",
    ),
    # lmstudio.ai/docs, "Chat Completions": the supported payload parameters; tool_choice is a word, never an object.
    "lm-studio": Flavor(
        "LM Studio",
        "Start it with `lms server start`.",
        sampling=LM_STUDIO_SAMPLING,
        thinking=EFFORT_SWITCH,
        forced_calls="required",
    ),
    # jundot/omlx, omlx/api/openai_models.py: these fields, no top_k and no repetition_penalty; of tool_choice it obeys
    # "none" alone (#2877).
    "omlx": Flavor(
        "oMLX",
        "Start it with `omlx serve`.",
        sampling={**OPENAI_SAMPLING, "min_p": "min_p"},
        thinking=TEMPLATE_SWITCH,
        thinking_budget="thinking_budget",
        forced_calls="",
    ),
    # docs.litellm.ai, "Input Params": OpenAI's fields, translated for each provider.
    "litellm": Flavor(
        "LiteLLM",
        "Start it with `litellm --config CONFIG.yaml`.",
        thinking=EFFORT_SWITCH,
    ),
    "mcp-local-llm": Flavor(
        "mcp-local-llm",
        "Start it with `mcp-local-llm serve`.",
        sampling={**LOCAL_SAMPLING, "repetition_limit": "repetition_limit"},
        thinking=TEMPLATE_SWITCH,
        thinking_budget="max_thinking_tokens",
        raw=False,
        completions=True,
    ),
}
"""Flavor by name; every name has its row."""


USUAL_PORTS: Mapping[int, tuple[FlavorName, ...]] = {
    11434: ("ollama",),
    1234: ("lm-studio",),
    8080: ("llama-server", "mlx_lm.server", "llama-swap"),
    8000: ("vllm", "vllm-mlx", "omlx"),
    4000: ("litellm",),
}
"""Port → the servers whose default it is."""


OWNERS: Mapping[str, FlavorName] = {
    "llamacpp": "llama-server",  # llama.cpp, tools/server: the list of models
    "llama-swap": "llama-swap",  # mostlygeek/llama-swap: the list of models
    "vllm": "vllm",  # vllm/entrypoints/openai: ModelCard
    "vllm-mlx": "vllm-mlx",  # vllm_mlx/api/models.py: ModelInfo
    "omlx": "omlx",  # omlx/api/openai_models.py: ModelInfo
    "mcp-local-llm": "mcp-local-llm",
}
"""`owned_by` in the list of models → the server that writes it."""


@dataclass(frozen=True)
class ProbeResponse:
    """A response to a GET: its status, its `Server` header (empty where there is none) and its body."""

    status: int
    server: str
    body: bytes

    def value(self) -> object:
        """Return the body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True)
class FlavorProbe:
    """Recognises one kind of server: a path that is cheap to request, and a test of the response."""

    flavor: FlavorName
    path: str
    matches: Callable[[JsonObject, ProbeResponse], bool]


def probes_for(port: int) -> tuple[FlavorProbe, ...]:
    """Return all marks, those of the servers that usually listen on `port` first."""
    usual = USUAL_PORTS.get(port, ())
    return tuple(sorted(FLAVOR_PROBES, key=lambda probe: probe.flavor not in usual))


def named_flavor(answer: ProbeResponse) -> FlavorName | None:
    """Return the server's flavor where the list of models or the `Server` header names it."""
    if answer.server == "llama.cpp":
        return "llama-server"
    entries = as_list(as_object(answer.value()).get("data"))
    owners = {as_text(as_object(entry).get("owned_by")) for entry in entries}
    return OWNERS.get(owners.pop()) if len(owners) == 1 else None


def probe_matches(probe: FlavorProbe, answer: ProbeResponse) -> bool:
    """Whether the response on the probe's path comes from the probe's server."""
    return answer.status == 200 and probe.matches(as_object(answer.value()), answer)


def _is_ollama(value: JsonObject, answer: ProbeResponse) -> bool:
    # llama-swap has this path as well, and tells more there.
    return set(value) == {"version"}


def _is_lm_studio(value: JsonObject, answer: ProbeResponse) -> bool:
    entries = as_list(value.get("data"))
    return value.get("object") == "list" and all("compatibility_type" in as_object(entry) for entry in entries)


def _is_litellm(value: JsonObject, answer: ProbeResponse) -> bool:
    return answer.value() == "I'm alive!"


def _is_mlx_lm(value: JsonObject, answer: ProbeResponse) -> bool:
    return value.get("status") == "ok" and answer.server.startswith("BaseHTTP/")


def _is_ours(value: JsonObject, answer: ProbeResponse) -> bool:
    return value.get("server") == "mcp-local-llm"


FLAVOR_PROBES = (
    FlavorProbe("ollama", "/api/version", _is_ollama),  # docs.ollama.com/api: Version
    FlavorProbe("lm-studio", "/api/v0/models", _is_lm_studio),  # lmstudio.ai/docs: REST API v0
    FlavorProbe("litellm", "/health/liveliness", _is_litellm),  # docs.litellm.ai: Health Checks; needs no key
    FlavorProbe("mlx_lm.server", "/health", _is_mlx_lm),  # mlx_lm/server.py: Python's own HTTP server
    FlavorProbe("mcp-local-llm", "/health", _is_ours),  # needs no key
)
"""For servers that are not named in their list of models."""
