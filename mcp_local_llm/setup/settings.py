"""Every setting, its default and its range, and the process whose value applies. It must not know what uses them."""

import re
from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from mcp_local_llm.values.chat import MinP, OccurrencePenalty, RepetitionLimit, RepetitionPenalty, SamplingParams, TopK
from mcp_local_llm.values.cluster import Cluster
from mcp_local_llm.values.endpoint import Endpoint
from mcp_local_llm.values.numbers import NO_BOOLEAN
from mcp_local_llm.values.profile import Profile, ProfileName
from mcp_local_llm.values.user_path import UserPath

TABLES: Mapping[str, type[BaseModel]] = {"endpoints": Endpoint, "cluster": Cluster, "profiles": Profile}
"""Settings that are tables; they can only be set in the file."""


SettingScope = Literal["session", "listener", "owner"]
"""The process whose value applies where several processes share one model: the session that sends the request, the
process that listens for HTTP, or the lease owner, which loads the model."""


def _sendable(key: SecretStr) -> SecretStr:
    """Refuse a key that cannot be sent in an HTTP header."""
    text = key.get_secret_value()
    if not text or not all("!" <= letter <= "~" for letter in text):
        raise ValueError("a key is one word of ASCII letters, digits and signs")
    return key


ApiKey = Annotated[SecretStr, AfterValidator(_sendable)]
"""A key that can be sent in an HTTP header; never shown."""


def _host(name: str) -> str:
    """Check a host name, which a `Host` header holds besides the port."""
    if not _HOST.fullmatch(name):
        raise ValueError("a host is a name or an address without scheme, port and path, such as *.lan; * is any")
    return name.lower()


def _origin(text: str) -> str:
    """Check the origin of a web page or desktop app, as browsers send it."""
    if not _ORIGIN.fullmatch(text):
        raise ValueError("an origin is a scheme with a host and no path, such as app://obsidian.md; * is any")
    return text.lower()


_HOST = re.compile(r"[\w.*-]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")
_ORIGIN = re.compile(r"\*|null|[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s]*")

AllowedHost = Annotated[str, AfterValidator(_host)]
AllowedOrigin = Annotated[str, AfterValidator(_origin)]


def _number(value: object) -> object:
    """Convert the digits of a variable into a number, which a `Literal` of numbers does not do."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


KVBits = Annotated[Literal[4, 8], BeforeValidator(_number)]


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]
"""The lowest level of messages that are written; accepted in lower and upper case."""

_Named = TypeVar("_Named", Endpoint, Cluster)


class Settings(BaseModel):
    """Every setting, with its default.

    Attributes:
        model: the model to use until one is chosen with `set_model` (a role, an id or a fragment).
        folders: more folders that hold models.
        roots: more folders whose files may be read and written, besides the project's.
        secret_names: more names of files that are never read, as patterns of a .gitignore (`*.token`, `private/`).
        allow: files that are read although they count as secrets, as patterns of a .gitignore (`.env.example`).
        reserve_context: tokens of KV cache to reserve memory for when the load of a model is planned.
        force: load a model although it does not fit; the machine may swap or kill the server.
        batch_size: requests that are decoded together; with more of them, each one takes longer.
        queue_size: requests that may wait besides; one more is refused, unless it is its client's only one. All
            clients together may have four times as many waiting.
        prefix_cache_mb: MiB of KV cache for reuse, running requests included; unset, a quarter of the memory free
            after the load, 256 MiB to 8 GiB.
        prefix_disk_mb: MiB of KV cache to keep on disk, for all MLX models together: long prompts are then reused after
            an unload and a restart. The files contain the conversations. 0 writes nothing.
        max_generation_tokens: the most tokens of one answer.
        step_timeout_s: seconds after which a step of an MLX model counts as hanging: its requests fail, and new ones
            are refused until it returns. A llama-server that computes nothing for as long is ended.
        load_timeout_s: seconds that the load of an MLX model, and its first step, may take without progress.
        long_input_penalty: repetition penalty of greedy answers to prompts of 4,096 tokens and more, from the answer's
            256th token on, where no penalty is set; 1 is off.
        tools_without_template: `system` writes tools into the system turn for a model whose chat template knows none;
            `refuse` refuses them.
        kv_bits: keep the keys and values of MLX models in 4 or 8 bits instead of 16: a long context takes less memory,
            answers lose a little accuracy, and requests are answered one at a time; unset, nothing is quantized.
        wired_memory: `auto` pins the weights in the GPU's memory; `off` does not, for machines where that panics.
        top_k, min_p, repetition_penalty, frequency_penalty, presence_penalty: sampling parameters; unset, the model's
            own (`generation_config.json`).
        repetition_limit: tokens of perfect repetition that end an answer; 0 is off.
        idle_minutes: unload the model after so many minutes without a call; 0 is off.
        preload: load the model in the background when a session starts, not with its first call.
        share: one model for all sessions of this user; without it each session loads its own.
        api_key: the key that requests over TCP must send as `Authorization: Bearer`; required where `serve` accepts
            other machines.
        allowed_hosts: more host names by which requests over TCP may call the server, for example
            `host.docker.internal`; a star stands for any part.
        allowed_origins: origins of web pages and desktop apps that may use it over TCP and read what it answers.
        serve_any_model: answer a request over TCP that names an unknown model with the chosen one, for programs that
            have names of their own built in; otherwise it is refused.
        llama_server: the program that runs GGUF models; unset, `llama-server` on the PATH.
        llama_slots: requests that it answers concurrently; each takes reserve_context tokens of KV cache.
        log_level: the lowest level of messages on stderr; `INFO` writes a few lines for each call, never its text.
        log_file_mb: MiB of the log file in the state folder and the one before it together; 0 writes none.
        log_file_level: the lowest level of messages in it.
        endpoints: OpenAI-compatible servers whose models can be chosen as well; only in the file.
        cluster: models whose weights are divided among machines; only in the file.
        profiles: models with a system prompt, sampling parameters and server options, by name; only in the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = None
    folders: tuple[UserPath, ...] = ()
    roots: tuple[UserPath, ...] = ()
    secret_names: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    reserve_context: Annotated[int, Field(ge=512, le=1_048_576), NO_BOOLEAN] = 8192
    force: bool = False
    batch_size: Annotated[int, Field(ge=1, le=32), NO_BOOLEAN] = 4
    queue_size: Annotated[int, Field(ge=0, le=256), NO_BOOLEAN] = 16
    prefix_cache_mb: Annotated[int, Field(ge=0, le=1_048_576), NO_BOOLEAN] | None = None
    prefix_disk_mb: Annotated[int, Field(ge=0, le=1_048_576), NO_BOOLEAN] = 0
    max_generation_tokens: Annotated[int, Field(ge=1, le=131_072), NO_BOOLEAN] = 32_768
    step_timeout_s: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False), NO_BOOLEAN] = 300.0
    load_timeout_s: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False), NO_BOOLEAN] = 1800.0
    long_input_penalty: RepetitionPenalty = 1.05
    tools_without_template: Literal["system", "refuse"] = "system"
    kv_bits: KVBits | None = None
    wired_memory: Literal["auto", "off"] = "auto"
    top_k: TopK | None = None
    min_p: MinP | None = None
    repetition_penalty: RepetitionPenalty | None = None
    frequency_penalty: OccurrencePenalty | None = None
    presence_penalty: OccurrencePenalty | None = None
    repetition_limit: RepetitionLimit = 1024
    idle_minutes: Annotated[float, Field(ge=0, le=10_080, allow_inf_nan=False), NO_BOOLEAN] = 10.0
    preload: bool = False
    share: bool = True
    api_key: ApiKey | None = None
    allowed_hosts: tuple[AllowedHost, ...] = ()
    allowed_origins: tuple[AllowedOrigin, ...] = ()
    serve_any_model: bool = False
    llama_server: UserPath | None = None
    llama_slots: Annotated[int, Field(ge=1, le=64), NO_BOOLEAN] = 1
    log_level: LogLevel = "WARNING"
    log_file_mb: Annotated[float, Field(ge=0, le=1024, allow_inf_nan=False), NO_BOOLEAN] = 4.0
    log_file_level: LogLevel = "INFO"
    endpoints: tuple[Endpoint, ...] = ()
    cluster: tuple[Cluster, ...] = ()
    profiles: Mapping[ProfileName, Profile] = Field(default_factory=dict[str, Profile])
    _warnings: tuple[str, ...] = PrivateAttr(())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about values that were accepted and should be changed, one sentence each."""
        return self._warnings

    def warned(self, warnings: tuple[str, ...]) -> "Settings":
        """Return the same settings with `warnings`."""
        copy = self.model_copy()
        copy._warnings = warnings
        return copy

    @field_validator("endpoints", "cluster")
    @classmethod
    def _distinct(cls, entries: tuple[_Named, ...], info: ValidationInfo) -> tuple[_Named, ...]:
        earlier = info.data.get("endpoints", ()) if info.field_name == "cluster" else ()
        names = [entry.name.casefold() for entry in (*earlier, *entries)]
        if twice := next((name for name in names if names.count(name) > 1), None):
            kind = "entries" if earlier else info.field_name
            raise ValueError(f"two {kind} are called {twice!r}")
        return entries

    @field_validator("profiles")
    @classmethod
    def _of_known_endpoints(cls, profiles: Mapping[str, Profile], info: ValidationInfo) -> Mapping[str, Profile]:
        known = [endpoint.name for endpoint in info.data.get("endpoints", ())]
        for name, profile in profiles.items():
            if profile.endpoint is not None and profile.endpoint not in known:
                raise ValueError(f"the profile {name!r} names the endpoint {profile.endpoint!r}, which is not there")
        return profiles

    @property
    def sampling(self) -> SamplingParams:
        """Sampling parameters for requests and profiles that leave them unset."""
        return SamplingParams(**{name: getattr(self, name) for name in SAMPLING_SETTINGS})


SAMPLING_SETTINGS = tuple(entry.name for entry in fields(SamplingParams) if entry.name in Settings.model_fields)
"""The settings that are sampling parameters."""

LOG_SETTINGS = ("log_level", "log_file_mb", "log_file_level")

SETTING_SCOPES: Mapping[str, SettingScope] = MappingProxyType(
    {
        **dict.fromkeys(("model", "share", "preload", *LOG_SETTINGS, *SAMPLING_SETTINGS), "session"),
        **dict.fromkeys(("roots", "secret_names", "allow"), "session"),
        **dict.fromkeys(("api_key", "allowed_hosts", "allowed_origins", "serve_any_model"), "listener"),
    }
)
"""Setting → the process whose value applies; the other settings are the lease owner's."""
