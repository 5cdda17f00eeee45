"""Writes the report that a user sends with an issue: all facts, findings and the end of the log, without private words.

Pure. Prompts, answers and text of files are in none of the facts; what names people, machines and private files is
replaced or only counted.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mcp_local_llm.doctor.facts import Facts, Finding
from mcp_local_llm.doctor.setup_checks import changed_settings, setting_origin
from mcp_local_llm.setup.private_words import PrivateWords
from mcp_local_llm.setup.settings import LOG_SETTINGS, Settings
from mcp_local_llm.values.model import ModelInfo, human_bytes
from mcp_local_llm.values.visible_text import printable

COUNTED = frozenset({"roots", "secret_names", "allow", "allowed_hosts", "allowed_origins"})
"""Settings that name private files and machines: the number of their values is told."""
HEAD = """\
A report of mcp-local-llm. No text of a prompt, an answer or a file is in it. In place of private words stand ~ (the
home folder), USER, HOST, FOLDER (the working folder), KEY and … (credentials). Read it before you send it."""


def bundle_text(
    facts: Facts,
    findings: Iterable[Finding],
    words: PrivateWords,
    *,
    platform: Mapping[str, str],
    log: Sequence[str],
) -> str:
    """Return the report.

    Args:
        facts: of the check-up.
        findings: of the check-up.
        words: the private words of this user.
        platform: name → value of what is known of the platform and the packages.
        log: the last lines of the log file.
    """
    sections = {
        "platform": [f"{name}: {value}" for name, value in platform.items()],
        # Those on the values of settings repeat them; `settings` below does not.
        "findings": [
            line for one in findings if one.name != "settings" or one.verdict == "note" for line in _lines(one)
        ],
        "settings": [*_settings(facts)],
        "registry": [*_registry(facts)],
        "models": [_model(model) for model in facts.installation.models],
        "lease": [*_lease(facts)],
        "log": log,
    }
    parts = [HEAD]
    for title, lines in sections.items():
        parts.append("\n".join([f"== {title}", *(lines or ["nothing"])]))
    return printable(words.masked("\n\n".join(parts)), keep="\n") + "\n"


def _lines(finding: Finding) -> Iterator[str]:
    yield f"{finding.verdict}: {finding.name}: {finding.text}"
    for line in finding.advice.splitlines():
        yield f"    {line}"


def _settings(facts: Facts) -> Iterator[str]:
    """Yield each setting that is not the default, and those of the log."""
    setup = facts.setup
    if setup.error:
        yield "they are wrong, as `doctor` says; these are the defaults"
    yield f"file: {setup.file}, {'missing' if setup.file_mode is None else f'mode {setup.file_mode:03o}'}"
    for key in dict.fromkeys((*changed_settings(setup), *LOG_SETTINGS)):
        origin = setting_origin(setup, key) if key in changed_settings(setup) else "default"
        yield f"{key} = {_value(setup.settings, key)} ({origin})"


def _value(settings: Settings, key: str) -> str:
    value: object = getattr(settings, key)
    match key:
        case "api_key":
            return "set, not shown"
        case "profiles":
            named = [f"{name}: {profile.query} ({profile.summary()})" for name, profile in settings.profiles.items()]
            return "; ".join(named)
        case "endpoints":
            return "; ".join(
                f"{one.name}: {one.flavor}, {one.url}, files {one.files}, models {len(one.models) or 'asked for'}, "
                f"key {'by variable' if one.api_key_env else 'by file' if one.api_key_file else 'none'}"
                for one in settings.endpoints
            )
        case "cluster":
            return "; ".join(f"{one.name}: {one.model}, {one.machines} machines" for one in settings.cluster)
        case _ if key in COUNTED:
            return f"{len((*getattr(settings, key),))} given, not shown"
        case "folders":
            return ", ".join(str(folder) for folder in settings.folders)
        case _:
            return str(value)


def _registry(facts: Facts) -> Iterator[str]:
    registry = facts.installation.registry
    for role, model in registry.roles.items():
        yield f"{role}: {model or 'none'}"
    for name, url in registry.endpoints.items():
        yield f"endpoint {name}: {url}"
    yield from registry.warnings


def _model(model: ModelInfo) -> str:
    known = {
        "": f"{model.format} from {model.source}, {human_bytes(model.weight_bytes)}, {model.architecture}",
        "parameters": model.parameters,
        "quantization": model.quantization,
        "context": model.context_length,
        "KV bytes per token": model.kv_bytes_per_token,
        "chat template": model.chat_template,
        "tools": model.tool_calling,
        "thinking": model.thinking,
        "path": model.path,
        "problems": "; ".join(model.problems),
    }
    told = (f"{name} {value}".strip() for name, value in known.items() if value not in (None, "", Path()))
    return f"{model.id}: {', '.join(told)}"


def _lease(facts: Facts) -> Iterator[str]:
    lease = facts.lease
    yield f"folder: {lease.folder}{f', {lease.fault}' if lease.fault else ''}"
    if lease.pid is None:
        yield "no process holds it"
        return
    yield f"held by process {lease.pid}, version {lease.version}"
    if lease.silent:
        yield lease.silent
    if lease.status is not None:
        for name, value in lease.status.model_dump(mode="json", exclude={"failures"}).items():
            yield f"{name}: {json.dumps(value)}"
        for failure in lease.status.failures:
            yield f"failed: {json.dumps(failure.model_dump(mode='json'))}"
