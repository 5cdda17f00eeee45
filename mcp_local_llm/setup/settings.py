"""Every setting, its default and its range, and whose rules. Values only: it must not know what they are for."""

from collections.abc import Mapping
from pathlib import Path
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
from mcp_local_llm.values.profile import Profile, ProfileName

TABLES: Mapping[str, type[BaseModel]] = {"endpoints": Endpoint, "cluster": Cluster, "profiles": Profile}
"""Settings that are tables of their own, only in the file."""


Ruler = Literal["session", "listener", "owner"]
"""Whose setting rules where several processes share one model: that of the session that asks, that of the process that
listens for HTTP, or that of the lease owner, which holds the model."""

RULED_BY: Mapping[str, Ruler] = MappingProxyType(
    {
        **dict.fromkeys(("model", "share", "preload", "log_level"), "session"),
        **dict.fromkeys(("top_k", "min_p", "repetition_limit"), "session"),
        **dict.fromkeys(("repetition_penalty", "frequency_penalty", "presence_penalty"), "session"),
        "api_key": "listener",
    }
)
"""The settings that are not the lease owner's."""


def ruler(name: str) -> Ruler:
    """Return whose value of the setting `name` counts."""
    return RULED_BY.get(name, "owner")


def _sendable(key: SecretStr) -> SecretStr:
    """Refuse a key that cannot stand in a header."""
    text = key.get_secret_value()
    if not text or not all("!" <= letter <= "~" for letter in text):
        raise ValueError("a key is one word of ASCII letters, digits and signs")
    return key


ApiKey = Annotated[SecretStr, AfterValidator(_sendable)]
"""A key as HTTP can carry it; never shown."""


def _written(value: object) -> object:
    """Return the number that a variable's digits write; a choice among numbers does not read them itself."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


KVBits = Annotated[Literal[4, 8], BeforeValidator(_written)]


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]
"""The lowest level of messages that are written to stderr; in any case."""

_Named = TypeVar("_Named", Endpoint, Cluster)


class Settings(BaseModel):
    """Every setting, with its default.

    Attributes:
        model: the model to use while none was chosen with `set_model` (a role, an id or a fragment).
        folders: further folders that hold models.
        reserve_context: tokens of KV cache to keep room for when a model is checked against memory.
        force: load a model although it does not fit; the machine may swap or kill the server.
        batch_size: calls that are decoded together; more share the bandwidth, and each takes longer.
        queue_size: calls that may wait beside those; one more is refused, unless it is its client's only one. All
            clients together may have four times as many waiting.
        prefix_cache_mb: MiB of KV cache to keep for reuse, running calls included; unset, a quarter of what is free
            after the load, 256 MiB to 8 GiB.
        prefix_disk_mb: MiB of KV cache to keep on the disk, of all MLX models together: long prompts then outlive an
            unload and a restart. The files hold what was said. 0 writes nothing.
        max_generation_tokens: the longest answer that one call may ask for.
        step_timeout_s: seconds after which a step of an MLX model counts as hanging: its calls fail, and new ones are
            refused until it returns.
        load_timeout_s: seconds that the load of an MLX model, and its first step, may take without progress.
        long_input_penalty: repetition penalty of greedy answers to prompts of 4,096 tokens and more, from the answer's
            256th token on, where nobody set a penalty; 1 is off.
        kv_bits: keep the keys and values of MLX models in 4 or 8 bits instead of 16: a long context takes less memory,
            answers lose a little accuracy, and calls are answered one at a time; unset, nothing is quantized.
        wired_memory: `auto` pins the weights in the GPU's memory, `off` nothing (for machines that panic).
        top_k, min_p, repetition_penalty, frequency_penalty, presence_penalty: how tokens are drawn; unset, as the model
            says (`generation_config.json`).
        repetition_limit: tokens of perfect repetition that end an answer; 0 never does.
        idle_minutes: unload the model after so many minutes without a call; 0 never does.
        preload: load the model in the background as soon as a session has begun, not with its first call.
        share: one model for all sessions of this user; without it each session loads its own.
        api_key: what requests over TCP must bring as `Authorization: Bearer`; needed where `serve` listens for others.
        llama_server: the program that runs GGUF models; unset, `llama-server` on the PATH.
        llama_slots: calls that it answers side by side; each takes reserve_context tokens of KV cache.
        log_level: the lowest level of messages on stderr; `INFO` writes one line for each request, never its text.
        endpoints: servers elsewhere whose models can be chosen like those here; only in the file.
        cluster: models that several machines hold together; only in the file.
        profiles: bundles of a model and how it is asked, by name; only in the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = None
    folders: tuple[Path, ...] = ()
    reserve_context: Annotated[int, Field(ge=512, le=1_048_576)] = 8192
    force: bool = False
    batch_size: Annotated[int, Field(ge=1, le=32)] = 4
    queue_size: Annotated[int, Field(ge=0, le=256)] = 16
    prefix_cache_mb: Annotated[int, Field(ge=0, le=1_048_576)] | None = None
    prefix_disk_mb: Annotated[int, Field(ge=0, le=1_048_576)] = 0
    max_generation_tokens: Annotated[int, Field(ge=1, le=131_072)] = 32_768
    step_timeout_s: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)] = 300.0
    load_timeout_s: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)] = 1800.0
    long_input_penalty: RepetitionPenalty = 1.05
    kv_bits: KVBits | None = None
    wired_memory: Literal["auto", "off"] = "auto"
    top_k: TopK | None = None
    min_p: MinP | None = None
    repetition_penalty: RepetitionPenalty | None = None
    frequency_penalty: OccurrencePenalty | None = None
    presence_penalty: OccurrencePenalty | None = None
    repetition_limit: RepetitionLimit = 1024
    idle_minutes: Annotated[float, Field(ge=0, le=10_080, allow_inf_nan=False)] = 10.0
    preload: bool = False
    share: bool = True
    api_key: ApiKey | None = None
    llama_server: Path | None = None
    llama_slots: Annotated[int, Field(ge=1, le=64)] = 1
    log_level: LogLevel = "WARNING"
    endpoints: tuple[Endpoint, ...] = ()
    cluster: tuple[Cluster, ...] = ()
    profiles: Mapping[ProfileName, Profile] = Field(default_factory=dict[str, Profile])
    _warnings: tuple[str, ...] = PrivateAttr(())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was accepted and should be changed, one sentence each."""
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
        """What applies where a call says nothing."""
        return SamplingParams(
            top_k=self.top_k,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
            repetition_limit=self.repetition_limit,
        )
