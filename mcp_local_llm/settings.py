"""What the user set: `config.toml` and `MCP_LOCAL_LLM_*` variables, checked once at the door.

A variable wins over the file. Unknown keys and wrong values are refused by name; nothing is guessed.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from mcp_local_llm.chat import MinP, OccurrencePenalty, RepetitionLimit, RepetitionPenalty, SamplingParams, TopK
from mcp_local_llm.endpoint import Endpoint
from mcp_local_llm.errors import ConfigError
from mcp_local_llm.launch import Launch
from mcp_local_llm.profiles import Profile, ProfileName

PREFIX = "MCP_LOCAL_LLM_"
TABLES: Mapping[str, type[BaseModel]] = {"endpoints": Endpoint, "launch": Launch, "profiles": Profile}
"""Settings that are tables of their own, only in the file."""


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


_Named = TypeVar("_Named", Endpoint, Launch)


class Settings(BaseModel):
    """Every setting, with its default.

    Attributes:
        model: the model to use while none was chosen with `set_model` (a role, an id or a fragment).
        folders: further folders that hold models.
        reserve_context: tokens of KV cache to keep room for when a model is checked against memory.
        force: load a model although it does not fit; the machine may swap or kill the server.
        batch_size: calls that are decoded together; more share the bandwidth, and each takes longer.
        queue_size: calls that may wait beside those; one more is refused.
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
        share: one model for all sessions of this user; without it each session loads its own.
        api_key: what requests over TCP must bring as `Authorization: Bearer`; needed where `serve` listens for others.
        llama_server: the program that runs GGUF models; unset, `llama-server` on the PATH.
        llama_slots: calls that it answers side by side; each takes reserve_context tokens of KV cache.
        endpoints: servers elsewhere whose models can be chosen like those here; only in the file.
        launch: models that several machines hold together; only in the file.
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
    share: bool = True
    api_key: ApiKey | None = None
    llama_server: Path | None = None
    llama_slots: Annotated[int, Field(ge=1, le=64)] = 1
    endpoints: tuple[Endpoint, ...] = ()
    launch: tuple[Launch, ...] = ()
    profiles: Mapping[ProfileName, Profile] = Field(default_factory=dict[str, Profile])

    @field_validator("endpoints", "launch")
    @classmethod
    def _distinct(cls, entries: tuple[_Named, ...], info: ValidationInfo) -> tuple[_Named, ...]:
        earlier = info.data.get("endpoints", ()) if info.field_name == "launch" else ()
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


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read `path` (it may be missing) and the variables.

    Raises:
        ConfigError: names the file or variable, the key and what is allowed.
    """
    values = _from_file(path)
    origin = dict.fromkeys(values, f"{path}")
    for name in (name for name in Settings.model_fields if name not in TABLES):
        variable = PREFIX + name.upper()
        if environ.get(variable, "").strip():
            raw = environ[variable].strip()
            values[name] = raw.split(os.pathsep) if name == "folders" else raw
            origin[name] = variable
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, origin)) from error
    paths: dict[str, object] = {"folders": tuple(folder.expanduser() for folder in settings.folders)}
    if settings.llama_server is not None:
        paths["llama_server"] = settings.llama_server.expanduser()
    return settings.model_copy(update=paths)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}. Mend the file or remove it.") from error


def _explain(error: ValidationError, origin: Mapping[str, str]) -> str:
    sentences: list[str] = []
    for problem in error.errors(include_url=False):
        key = str(problem["loc"][0])
        where = origin.get(key, "settings")
        if problem["type"] == "extra_forbidden":
            within = TABLES.get(key, Settings) if len(problem["loc"]) > 1 else Settings
            *_, unknown = (key, *problem["loc"])
            allowed = ", ".join(within.model_fields)
            sentences.append(f"{where}: there is no setting '{unknown}'. Known settings: {allowed}.")
        else:
            place = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
            # A key put where its variable's name belongs, or into a URL, must not end up in a message.
            value = "wrong" if place.endswith((".api_key", ".api_key_env", ".url")) else repr(problem["input"])
            sentences.append(f"{where}: '{place.removeprefix('.')}' is {value}. {problem['msg']}.")
    return " ".join(sentences)
