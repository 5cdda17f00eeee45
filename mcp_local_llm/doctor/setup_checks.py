"""Versions, the machine, and the settings in force. Pure."""

from collections.abc import Iterator

from pydantic import SecretStr

from mcp_local_llm.doctor.facts import Facts, Setup, Surveyed
from mcp_local_llm.doctor.finding import Finding
from mcp_local_llm.setup.settings import PREFIX, TABLES, Settings
from mcp_local_llm.values.endpoint import shown_url
from mcp_local_llm.values.model import human_bytes

PLACES = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "HF_HOME", "HF_HUB_CACHE")
"""Variables that say where things lie; shown as they are."""
SWITCHES = ("HF_HUB_OFFLINE",)
ADDRESSES = ("HF_ENDPOINT",)
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
NEEDED = ("mlx", "mlx-lm")
"""Packages without which no MLX model runs."""
CUDA = "mlx-cuda"
"""Key of the versions that tells whether MLX's CUDA build is here."""


def versions(facts: Facts) -> Iterator[Finding]:
    """Tell the versions; an engine that is not there is a problem."""
    known = facts.surveyed.versions
    text = ", ".join(f"{name} {version}" for name, version in known.items() if version)
    missing = [name for name in NEEDED if not known.get(name)]
    if missing:
        advice = "Install mcp-local-llm again with its dependencies, for example with `pipx reinstall mcp-local-llm`."
        yield Finding("versions", "problem", f"{text}; {' and '.join(missing)} not installed", advice)
    else:
        yield Finding("versions", "ok", text)


def engine(facts: Facts) -> Iterator[Finding]:
    """Tell whether mlx and mlx-lm can be imported; a package that is not there was told with the versions."""
    fault = facts.import_fault
    if not all(facts.surveyed.versions.get(name) for name in NEEDED):
        return
    if not fault:
        yield Finding("engine", "ok", "mlx and mlx-lm can be imported")
        return
    advice = "Until then no MLX model can be loaded. Install again, for example with `pipx reinstall mcp-local-llm`."
    if facts.surveyed.versions.get(CUDA) and "cuda" in fault.lower():
        advice = (
            "Until then no MLX model can be loaded. Install NVIDIA's driver, or install without CUDA: in a clone of "
            "the repository `pipx install --force .`."
        )
    yield Finding("engine", "problem", f"mlx or mlx-lm cannot be imported: {fault}", advice)


def machine(facts: Facts) -> Iterator[Finding]:
    """Tell chip and memory; a GPU that MLX cannot use is a note."""
    surveyed = facts.surveyed
    found, memory = surveyed.machine, surveyed.machine.memory
    parts = [
        f"{found.chip}, {found.cores} cores, {found.system}",
        f"{human_bytes(memory.total)} of memory, {human_bytes(memory.available)} available",
        f"the GPU may hold {human_bytes(memory.gpu_limit)}" if memory.gpu_limit is not None else "",
    ]
    yield Finding("machine", "ok", "; ".join(part for part in parts if part))
    if _idle_gpu(surveyed):
        advice = "In a clone of the repository: `pipx install --force '.[cuda]'`."
        yield Finding("GPU", "note", "there is an NVIDIA GPU, and MLX's CUDA build is not installed", advice)


def settings(facts: Facts) -> Iterator[Finding]:
    """Tell the file and every value that is not the default, where it comes from; secrets only that they are set."""
    setup = facts.setup
    if setup.error:
        advice = (
            "Mend it; every other command and every tool refuses until then. The rest of this report uses the defaults."
        )
        yield Finding("settings", "problem", setup.error, advice)
        return
    there = f"{setup.file}" if setup.file_mode is not None else f"{setup.file} is not there, which is fine"
    values = [f"{key} = {_shown(setup, key)} ({_origin(setup, key)})" for key in _changed(setup)]
    yield Finding("settings", "ok", "; ".join([there, *(values or ["all defaults"])]))
    if setup.settings.api_key and "api_key" in setup.in_file and (setup.file_mode or 0) & 0o077:
        text = f"{setup.file} holds api_key and can be read by other users"
        yield Finding("settings", "note", text, f"Run `chmod 600 {setup.file}`.")
    for warning in setup.settings.warnings:
        yield Finding("settings", "note", warning)


def variables(facts: Facts) -> Iterator[Finding]:
    """Tell the variables of others that change where and how we look."""
    environ = facts.setup.environ
    parts = [f"{name}={environ[name]}" for name in (*PLACES, *SWITCHES) if environ.get(name)]
    parts += [f"{name}={shown_url(environ[name])}" for name in ADDRESSES if environ.get(name)]
    parts += [f"{name} is set" for name in SECRETS if environ.get(name)]
    if parts:
        yield Finding("variables", "ok", "; ".join(parts))


def _idle_gpu(surveyed: Surveyed) -> bool:
    return surveyed.machine.system == "Linux" and surveyed.gpu and not surveyed.versions.get(CUDA)


def _changed(setup: Setup) -> list[str]:
    default = Settings()
    return [key for key in Settings.model_fields if getattr(setup.settings, key) != getattr(default, key)]


def _origin(setup: Setup, key: str) -> str:
    variable = PREFIX + key.upper()
    return variable if key not in TABLES and setup.environ.get(variable, "").strip() else setup.file.name


def _shown(setup: Setup, key: str) -> str:
    """Write a value; of tables only the names, since they hold prompts and addresses of their own."""
    value: object = getattr(setup.settings, key)
    if isinstance(value, SecretStr):
        return "set, not shown"
    if key == "profiles":
        return ", ".join(setup.settings.profiles)
    if key in ("endpoints", "cluster"):
        return ", ".join(entry.name for entry in (*getattr(setup.settings, key),))
    if key == "folders":
        return ", ".join(str(folder) for folder in setup.settings.folders)
    return str(value).lower() if isinstance(value, bool) else str(value)
