"""How a server on a port of this machine is recognised: where it usually listens and what its answers show. Pure.

A server that names itself in its list of models is known from that list; the others are told by one harmless request.
Sources: the servers' own code or documentation, named beside each row.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mcp_local_llm.values.endpoint import FlavorName
from mcp_local_llm.wire.json_values import JsonObject, as_list, as_object, as_text

USUAL_PORTS: Mapping[int, tuple[FlavorName, ...]] = {
    11434: ("ollama",),
    1234: ("lm-studio",),
    8080: ("llama-server", "mlx_lm.server", "llama-swap"),
    8000: ("vllm", "vllm-mlx", "omlx"),
    4000: ("litellm",),
}
"""Port → who listens there unless told otherwise."""

OWNERS: Mapping[str, FlavorName] = {
    "llamacpp": "llama-server",  # llama.cpp, tools/server: the list of models
    "llama-swap": "llama-swap",  # mostlygeek/llama-swap: the list of models
    "vllm": "vllm",  # vllm/entrypoints/openai: ModelCard
    "vllm-mlx": "vllm-mlx",  # vllm_mlx/api/models.py: ModelInfo
    "omlx": "omlx",  # omlx/api/openai_models.py: ModelInfo
    "mcp-local-llm": "mcp-local-llm",
}
"""`owned_by` of the list → who writes it."""

HEADERS: Mapping[str, FlavorName] = {"llama.cpp": "llama-server"}
"""`Server` of any answer → who writes it."""


@dataclass(frozen=True)
class Answer:
    """An answer to a GET: its status, its `Server` header (empty where there is none) and its body."""

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
class Mark:
    """What tells one kind of server: a path that costs it nothing, and whether the answer shows it."""

    flavor: FlavorName
    path: str
    shows: Callable[[JsonObject, Answer], bool]


def _is_ollama(value: JsonObject, answer: Answer) -> bool:
    # llama-swap has this path as well, and tells more there.
    return set(value) == {"version"}


def _is_lm_studio(value: JsonObject, answer: Answer) -> bool:
    entries = as_list(value.get("data"))
    return value.get("object") == "list" and all("compatibility_type" in as_object(entry) for entry in entries)


def _is_litellm(value: JsonObject, answer: Answer) -> bool:
    return answer.value() == "I'm alive!"


def _is_mlx_lm(value: JsonObject, answer: Answer) -> bool:
    return value.get("status") == "ok" and answer.server.startswith("BaseHTTP/")


def _is_ours(value: JsonObject, answer: Answer) -> bool:
    return value.get("server") == "mcp-local-llm"


MARKS = (
    Mark("ollama", "/api/version", _is_ollama),  # docs.ollama.com/api: Version
    Mark("lm-studio", "/api/v0/models", _is_lm_studio),  # lmstudio.ai/docs: REST API v0
    Mark("litellm", "/health/liveliness", _is_litellm),  # docs.litellm.ai: Health Checks; needs no key
    Mark("mlx_lm.server", "/health", _is_mlx_lm),  # mlx_lm/server.py: Python's own HTTP server
    Mark("mcp-local-llm", "/health", _is_ours),  # needs no key
)
"""For those that do not say in the list who they are."""


def marks_for(port: int) -> tuple[Mark, ...]:
    """Return all marks, those of the servers that usually listen on `port` first."""
    usual = USUAL_PORTS.get(port, ())
    return tuple(sorted(MARKS, key=lambda mark: mark.flavor not in usual))


def named_flavor(answer: Answer) -> FlavorName | None:
    """Return who answered, where the list of models or the header says so."""
    if flavor := HEADERS.get(answer.server):
        return flavor
    entries = as_list(as_object(answer.value()).get("data"))
    owners = {as_text(as_object(entry).get("owned_by")) for entry in entries}
    return OWNERS.get(owners.pop()) if len(owners) == 1 else None


def marked(mark: Mark, answer: Answer) -> bool:
    """Say whether the answer on the mark's path shows its server."""
    return answer.status == 200 and mark.shows(as_object(answer.value()), answer)
