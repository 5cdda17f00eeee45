"""What is around the model: the process that holds it, llama-server, Claude Code. Pure."""

from collections.abc import Iterator

from mcp_local_llm import __version__
from mcp_local_llm.doctor.facts import Facts
from mcp_local_llm.doctor.finding import Finding
from mcp_local_llm.doctor.model_checks import runnable

CLAUDE_COMMAND = "claude mcp add --scope user local-llm -- mcp-local-llm"
GET_LLAMA_SERVER = (
    "Get it with `brew install llama.cpp` or from the releases of github.com/ggml-org/llama.cpp, or name it with the "
    "setting llama_server."
)


def resident(facts: Facts) -> Iterator[Finding]:
    """Tell whether sessions can share a model, and which process holds it now."""
    tenancy = facts.tenancy
    if tenancy.fault:
        yield Finding("sharing", "problem", tenancy.fault, "Until then no model can be loaded, unless share is false.")
        return
    if tenancy.silent:
        who = "another process" if tenancy.pid is None else f"process {tenancy.pid} (version {tenancy.version})"
        text = f"the model is held by {who}, which does not answer: {tenancy.silent}"
        yield Finding("sharing", "problem", text, "End that process; the next call loads the model anew.")
        return
    if tenancy.report is None:
        off = "" if facts.setup.settings.share else "; share is false, so each session loads its own"
        yield Finding("sharing", "ok", f"no process holds a model; {tenancy.folder} is sound{off}")
        return
    report = tenancy.report
    model = report.model or "no model at the moment"
    counts = f"sessions attached: {report.clients}, calls running: {report.calls_running}, in line: {report.waiting}"
    yield Finding("sharing", "ok", f"process {report.pid} (version {tenancy.version}) holds {model}; {counts}")
    if tenancy.version and tenancy.version != __version__:
        text = f"that process runs version {tenancy.version}, this is {__version__}"
        yield Finding("sharing", "note", text, "A newer session asks an older one to leave; restart what is older.")


def llama_server(facts: Facts) -> Iterator[Finding]:
    """Tell whether GGUF models can run."""
    program, named = facts.surveyed.llama_server, facts.setup.settings.llama_server
    if program is not None:
        yield Finding("llama-server", "ok", str(program))
        return
    if named is not None:
        text = f"the setting llama_server names {named}, which is no program"
        yield Finding("llama-server", "problem", text, "Correct the setting, or leave it out to search the PATH.")
        return
    count = sum(model.format == "gguf" and model.usable for model in facts.surveyed.models)
    if count:
        text = f"{count} GGUF model{'s' if count > 1 else ''} cannot run, because llama-server is not installed"
        # With other models it is a choice; without any, nothing answers but the built-in one.
        yield Finding("llama-server", "note" if runnable(facts) else "problem", text, GET_LLAMA_SERVER)
    else:
        yield Finding("llama-server", "ok", "not installed, and no GGUF model needs it")


def claude(facts: Facts) -> Iterator[Finding]:
    """Tell whether Claude Code knows this server; its command is only told, never run."""
    found = facts.surveyed.claude
    if found.knows is not None:
        yield Finding("Claude Code", "ok", f"{found.knows} names this server")
    elif found.program is not None:
        text = f"{found.program} is here, and its settings do not name this server"
        yield Finding("Claude Code", "note", text, f"Run `{CLAUDE_COMMAND}`.")
    else:
        yield Finding("Claude Code", "ok", "not on the PATH; README.md names the settings of other clients")
