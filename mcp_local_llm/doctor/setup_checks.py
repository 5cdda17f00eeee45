"""Checks of versions, the machine, the settings in force, the lease and other programs. Pure functions."""

import shlex
from collections.abc import Iterator

from pydantic import SecretStr

from mcp_local_llm import __version__
from mcp_local_llm.doctor.facts import Facts, Finding, InstallationFacts, Setup
from mcp_local_llm.doctor.model_checks import runnable
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.setup.settings_file import variables_of
from mcp_local_llm.values.endpoint import shown_url
from mcp_local_llm.values.model import human_bytes

PLACES = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "HF_HOME", "HF_HUB_CACHE")
"""Variables that name folders; their values are shown."""
SWITCHES = ("HF_HUB_OFFLINE",)
ADDRESSES = ("HF_ENDPOINT",)
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
NEEDED = ("mlx", "mlx-lm")
"""Packages without which no MLX model runs."""
CUDA = "mlx-cuda"
"""The package of MLX's CUDA build among the versions."""


def versions(facts: Facts) -> Iterator[Finding]:
    """Report the versions; a missing engine is a problem."""
    known = facts.installation.versions
    text = ", ".join(f"{name} {version}" for name, version in known.items() if version)
    missing = [name for name in NEEDED if not known.get(name)]
    if missing:
        advice = "Install mcp-local-llm again with its dependencies, for example with `pipx reinstall mcp-local-llm`."
        yield Finding("versions", "problem", f"{text}; {' and '.join(missing)} not installed", advice)
    else:
        yield Finding("versions", "ok", text)


def engine(facts: Facts) -> Iterator[Finding]:
    """Report whether mlx and mlx-lm can be imported; `versions` reports packages that are not installed."""
    fault = facts.import_fault
    if not all(facts.installation.versions.get(name) for name in NEEDED):
        return
    if not fault:
        yield Finding("engine", "ok", "mlx and mlx-lm can be imported")
        return
    advice = "Until then no MLX model can be loaded. Install again, for example with `pipx reinstall mcp-local-llm`."
    if facts.installation.versions.get(CUDA) and "cuda" in fault.lower():
        advice = (
            "Until then no MLX model can be loaded. Install NVIDIA's driver, or install without CUDA: in a clone of "
            "the repository `pipx install --force .`."
        )
    yield Finding("engine", "problem", f"mlx or mlx-lm cannot be imported: {fault}", advice)


def machine(facts: Facts) -> Iterator[Finding]:
    """Report chip and memory; a GPU that MLX cannot use is a note."""
    installation = facts.installation
    found, memory = installation.machine, installation.machine.memory
    parts = [
        f"{found.chip}, {found.cores} cores, {found.system}",
        f"{human_bytes(memory.total)} of memory, {human_bytes(memory.available)} available",
        f"the GPU may hold {human_bytes(memory.gpu_limit)}" if memory.gpu_limit is not None else "",
    ]
    yield Finding("machine", "ok", "; ".join(part for part in parts if part))
    if _idle_gpu(installation):
        advice = "In a clone of the repository: `pipx install --force '.[cuda]'`."
        yield Finding("GPU", "note", "there is an NVIDIA GPU, and MLX's CUDA build is not installed", advice)


def settings(facts: Facts) -> Iterator[Finding]:
    """Report the file and each value that is not the default, with its origin; secrets are not shown."""
    setup = facts.setup
    if setup.error:
        advice = (
            "Mend it; every other command and every tool refuses until then. The rest of this report uses the defaults."
        )
        yield Finding("settings", "problem", setup.error, advice)
        return
    there = f"{setup.file}" if setup.file_mode is not None else f"{setup.file} is not there, which is fine"
    values = [f"{key} = {_shown(setup, key)} ({setting_origin(setup, key)})" for key in changed_settings(setup)]
    yield Finding("settings", "ok", "; ".join([there, *(values or ["all defaults"])]))
    for warning in (*setup.settings.warnings, *facts.installation.folder_warnings):
        yield Finding("settings", "note", warning)


def variables(facts: Facts) -> Iterator[Finding]:
    """Report the variables of other programs that change where models, settings and the hub are found."""
    environ = facts.setup.environ
    parts = [f"{name}={environ[name]}" for name in (*PLACES, *SWITCHES) if environ.get(name)]
    parts += [f"{name}={shown_url(environ[name])}" for name in ADDRESSES if environ.get(name)]
    parts += [f"{name} is set" for name in SECRETS if environ.get(name)]
    if parts:
        yield Finding("variables", "ok", "; ".join(parts))


def log_file(facts: Facts) -> Iterator[Finding]:
    """Report where the log is; calls are answered without it, so a file that cannot be written is a note."""
    path, fault = facts.installation.log
    if not facts.setup.settings.log_file_mb:
        yield Finding("log", "ok", "none, because log_file_mb is 0")
    elif fault:
        yield Finding("log", "note", f"{path} cannot be written: {fault}", "Remove what is in its way.")
    else:
        yield Finding("log", "ok", f"{path}")


def _idle_gpu(installation: InstallationFacts) -> bool:
    return installation.machine.system == "Linux" and installation.gpu and not installation.versions.get(CUDA)


def changed_settings(setup: Setup) -> list[str]:
    """Return the settings that are not the default."""
    default = Settings()
    return [key for key in Settings.model_fields if getattr(setup.settings, key) != getattr(default, key)]


def setting_origin(setup: Setup, key: str) -> str:
    """Return the variable or file that sets a setting."""
    return variables_of(setup.environ).get(key, setup.file.name)


def _shown(setup: Setup, key: str) -> str:
    """Format a value; only the names of tables, which hold prompts and addresses."""
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


CLAUDE_COMMAND = "claude mcp add --scope user local-llm -- mcp-local-llm"


GET_LLAMA_SERVER = (
    "Get it with `brew install llama.cpp` or from the releases of github.com/ggml-org/llama.cpp, or name it with the "
    "setting llama_server."
)


def lease(facts: Facts) -> Iterator[Finding]:
    """Report whether sessions can share a model, and which process owns the lease."""
    owned = facts.lease
    if owned.fault:
        yield Finding("sharing", "problem", owned.fault, "Until then no model can be loaded, unless share is false.")
        return
    if owned.silent:
        who = "another process" if owned.pid is None else f"process {owned.pid} (version {owned.version})"
        text = f"the model is held by {who}, which does not answer: {owned.silent}"
        yield Finding("sharing", "problem", text, "End that process; the next call loads the model anew.")
        return
    if owned.status is None:
        off = "" if facts.setup.settings.share else "; share is false, so each session loads its own"
        yield Finding("sharing", "ok", f"no process holds a model; {owned.folder} is sound{off}")
        return
    status = owned.status
    model = status.model or "no model at the moment"
    counts = f"sessions attached: {status.clients}, calls running: {status.calls_running}, in line: {status.waiting}"
    yield Finding("sharing", "ok", f"process {status.pid} (version {owned.version}) holds {model}; {counts}")
    # For example that its engine hangs, with the remedy.
    for note in status.notes:
        yield Finding("sharing", "note", f"process {status.pid} reports: {note}")
    if owned.version and owned.version != __version__:
        text = f"that process runs version {owned.version}, this is {__version__}"
        yield Finding(
            "sharing", "note", text, "A newer session makes an older lease owner shut down; restart the older one."
        )


def llama_server(facts: Facts) -> Iterator[Finding]:
    """Report whether GGUF models can run."""
    program, named = facts.installation.llama_server, facts.setup.settings.llama_server
    if program is not None:
        yield Finding("llama-server", "ok", str(program))
        return
    if named is not None:
        text = f"the setting llama_server names {named}, which is no program"
        yield Finding("llama-server", "problem", text, "Correct the setting, or leave it out to search the PATH.")
        return
    count = sum(model.format == "gguf" and model.usable for model in facts.installation.models)
    if count:
        text = f"{count} GGUF model{'s' if count > 1 else ''} cannot run, because llama-server is not installed"
        # A note where other models can run; a problem where only the built-in one can.
        yield Finding("llama-server", "note" if runnable(facts) else "problem", text, GET_LLAMA_SERVER)
    else:
        yield Finding("llama-server", "ok", "not installed, and no GGUF model needs it")


def claude_code(facts: Facts) -> Iterator[Finding]:
    """Report whether Claude Code's settings name this server; the command that adds it is never run here."""
    found = facts.installation.claude
    if any(client.name == "claude-code" and client.command for client in facts.clients):
        return  # `clients` says more.
    if found.configured_in is not None:
        yield Finding("Claude Code", "ok", f"{found.configured_in} names this server")
    elif found.program is not None:
        text = f"{found.program} is here, and its settings do not name this server"
        yield Finding("Claude Code", "note", text, f"Run `{CLAUDE_COMMAND}`.")
    else:
        yield Finding("Claude Code", "ok", "not on the PATH; docs/clients.md names the settings of other clients")


def clients(facts: Facts) -> Iterator[Finding]:
    """Report for each coding agent whether its settings start this executable, and whether that works.

    An agent whose settings do not name this server is a note, since nobody needs it in all of them.
    """
    for client in facts.clients:
        again = f"Run `mcp-local-llm install --client {client.name}`."
        if client.error:
            yield Finding(client.title, "note", client.error)
        elif client.fault:
            text = f"{client.place} starts `{shlex.join(client.command)}`: {client.fault}"
            yield Finding(client.title, "problem", text, again)
        elif client.ours:
            yield Finding(client.title, "ok", f"{client.place} starts this server")
        elif client.command:
            text = f"{client.place} starts `{shlex.join(client.command)}`, which works and is not this executable"
            yield Finding(client.title, "note", text, again)
        # Whether Claude Code names this server for one folder only, `claude_code` has said.
        elif client.name != "claude-code":
            yield Finding(client.title, "note", f"{client.place} does not name this server", again)
