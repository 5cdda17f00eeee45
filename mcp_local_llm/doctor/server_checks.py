"""Checks of the endpoints of the settings, and of the servers that were detected on this machine. Pure functions."""

from collections.abc import Iterator

from mcp_local_llm.doctor.facts import Facts, Finding
from mcp_local_llm.values.endpoint import DetectedServer, Endpoint, endpoint_of, loopback_port
from mcp_local_llm.wire.flavors import FLAVORS

MAX_NAMED = 3
"""The most models of a server that a line names."""


def endpoints(facts: Facts) -> Iterator[Finding]:
    """Report for each endpoint of the settings whether it answers.

    An unreachable endpoint is a note, since a machine in the network may sleep, unless it serves the chosen model.
    """
    for entry in facts.endpoints:
        where = f"{entry.endpoint.name} ({entry.endpoint.url})"
        if not entry.error:
            yield Finding("endpoint", "ok", f"{where} answers; {_models(entry.models)}")
        else:
            harmless = entry.absent and not _chosen(facts, entry.endpoint)
            advice = "" if harmless else "Until then its models cannot answer."
            yield Finding("endpoint", "note" if harmless else "problem", entry.error, advice)


def servers(facts: Facts) -> Iterator[Finding]:
    """Report the servers on this machine, with the lines that add each one to the settings."""
    configured = {port: one for one in facts.setup.settings.endpoints if (port := loopback_port(one.url)) is not None}
    taken = {endpoint.name for endpoint in facts.setup.settings.endpoints}
    for server in facts.servers:
        endpoint = configured.get(server.port)
        if endpoint is not None:
            yield from _configured(server, endpoint)
            continue
        name = _free_name(server, taken)
        taken.add(name)
        if server.flavor == "mcp-local-llm":
            yield _ours(server, name, facts)
        else:
            yield Finding("server", "note", _unconfigured(server), _proposal(server, name, facts))


def _ours(server: DetectedServer, name: str, facts: Facts) -> Finding:
    """Report `mcp-local-llm serve`: sessions of its user find it by the lease, and need neither settings nor key."""
    answers = f"`mcp-local-llm serve` answers on port {server.port}{' and wants a key' if server.locked else ''}"
    if not facts.setup.settings.share:
        text = f"{answers}; share is false, so sessions here do not use its model by themselves"
        return Finding("server", "ok", text, _proposal(server, name, facts))
    if not server.locked:
        return Finding("server", "ok", f"{answers}; sessions here use its model by themselves")
    text = f"{answers}; sessions of the user who started it use its model by themselves, without the key"
    return Finding("server", "ok", text, _proposal(server, name, facts, "If that is another user: to"))


def _configured(server: DetectedServer, endpoint: Endpoint) -> Iterator[Finding]:
    text = f"{_title(server)} answers on port {server.port}; the settings know it as {endpoint.name}"
    if server.flavor is None or endpoint.flavor == server.flavor:
        yield Finding("server", "ok", text)
    else:
        advice = f'Put `flavor = "{server.flavor}"` into its [[endpoints]] entry; it says {endpoint.flavor!r} now.'
        yield Finding("server", "note", text, advice)


def _unconfigured(server: DetectedServer) -> str:
    known = f"{_title(server)} answers on port {server.port}"
    if server.locked:
        return f"{known} and wants a key; the settings do not know it"
    return f"{known}; {_models(server.models)}; the settings do not know it"


def _proposal(server: DetectedServer, name: str, facts: Facts, first: str = "To") -> str:
    lines = [
        "[[endpoints]]",
        f'name = "{name}"',
        f'url = "{server.url}"',
        f'flavor = "{server.flavor or "openai"}"',
    ]
    if server.locked:
        variable = "".join(letter if letter.isalnum() else "_" for letter in name).upper()
        # A variable that begins with our own prefix is refused as an unknown setting.
        lines.append(f'api_key_env = "{variable.removeprefix("MCP_")}_KEY"')
    return "\n".join([f"{first} choose its models here, add these lines to {facts.setup.file}:", *lines])


def _free_name(server: DetectedServer, taken: set[str]) -> str:
    name = server.flavor or "local"
    return f"{name}-{server.port}" if name in taken else name


def _title(server: DetectedServer) -> str:
    return FLAVORS[server.flavor].title if server.flavor else "a server that does not say who it is"


def _models(names: tuple[str, ...]) -> str:
    if not names:
        return "it lists no model that can chat"
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"it has {', '.join(names[:MAX_NAMED])}{more}"


def _chosen(facts: Facts, endpoint: Endpoint) -> bool:
    chosen = facts.choice
    if chosen.model is not None:
        return chosen.model.endpoint == endpoint
    return bool(chosen.saved) and endpoint_of(chosen.saved or "", [endpoint]) is not None
