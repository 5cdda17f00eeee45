"""The endpoints of the settings, and servers on this machine that could become some. Pure; nothing is written."""

from collections.abc import Iterator

from mcp_local_llm.doctor.facts import Facts, Finding, Reached
from mcp_local_llm.values.endpoint import Endpoint, Sighting, endpoint_of, loopback_port
from mcp_local_llm.wire.flavors import FLAVORS

MAX_NAMED = 3
"""Models of a server that a line names."""


def endpoints(facts: Facts) -> Iterator[Finding]:
    """Tell of each endpoint of the settings whether it answers.

    One that is switched off is a note, since a machine in the network may sleep, unless the choice is behind it.
    """
    for reached in facts.reached:
        where = f"{reached.endpoint.name} ({reached.endpoint.url})"
        if not reached.error:
            yield Finding("endpoint", "ok", f"{where} answers; {_models(reached.models)}")
        else:
            harmless = reached.absent and not _chosen(facts, reached)
            advice = "" if harmless else "Until then its models cannot answer."
            yield Finding("endpoint", "note" if harmless else "problem", reached.error, advice)


def sightings(facts: Facts) -> Iterator[Finding]:
    """Tell of the servers on this machine, and propose lines for those that the settings do not know."""
    configured = {port: one for one in facts.setup.settings.endpoints if (port := loopback_port(one.url)) is not None}
    taken = {endpoint.name for endpoint in facts.setup.settings.endpoints}
    for sighting in facts.sightings:
        endpoint = configured.get(sighting.port)
        if endpoint is not None:
            yield from _configured(sighting, endpoint)
            continue
        name = _free_name(sighting, taken)
        taken.add(name)
        if sighting.flavor == "mcp-local-llm":
            yield _ours(sighting, name, facts)
        else:
            yield Finding("server", "note", _told(sighting), _proposal(sighting, name, facts))


def _ours(sighting: Sighting, name: str, facts: Facts) -> Finding:
    """Tell of `mcp-local-llm serve`: sessions of its user find it by the lease, and need neither settings nor key."""
    answers = f"`mcp-local-llm serve` answers on port {sighting.port}{' and wants a key' if sighting.locked else ''}"
    if not facts.setup.settings.share:
        text = f"{answers}; share is false, so sessions here do not use its model by themselves"
        return Finding("server", "ok", text, _proposal(sighting, name, facts))
    if not sighting.locked:
        return Finding("server", "ok", f"{answers}; sessions here use its model by themselves")
    text = f"{answers}; sessions of the user who started it use its model by themselves, without the key"
    return Finding("server", "ok", text, _proposal(sighting, name, facts, "If that is another user: to"))


def _configured(sighting: Sighting, endpoint: Endpoint) -> Iterator[Finding]:
    text = f"{_title(sighting)} answers on port {sighting.port}; the settings know it as {endpoint.name}"
    if sighting.flavor is None or endpoint.flavor == sighting.flavor:
        yield Finding("server", "ok", text)
    else:
        advice = f'Put `flavor = "{sighting.flavor}"` into its [[endpoints]] entry; it says {endpoint.flavor!r} now.'
        yield Finding("server", "note", text, advice)


def _told(sighting: Sighting) -> str:
    known = f"{_title(sighting)} answers on port {sighting.port}"
    if sighting.locked:
        return f"{known} and wants a key; the settings do not know it"
    return f"{known}; {_models(sighting.models)}; the settings do not know it"


def _proposal(sighting: Sighting, name: str, facts: Facts, first: str = "To") -> str:
    lines = [
        "[[endpoints]]",
        f'name = "{name}"',
        f'url = "{sighting.url}"',
        f'flavor = "{sighting.flavor or "openai"}"',
    ]
    if sighting.locked:
        variable = "".join(letter if letter.isalnum() else "_" for letter in name).upper()
        # A name that began like our own settings would be taken for a misspelt one.
        lines.append(f'api_key_env = "{variable.removeprefix("MCP_")}_KEY"')
    return "\n".join([f"{first} choose its models here, add these lines to {facts.setup.file}:", *lines])


def _free_name(sighting: Sighting, taken: set[str]) -> str:
    name = sighting.flavor or "local"
    return f"{name}-{sighting.port}" if name in taken else name


def _title(sighting: Sighting) -> str:
    return FLAVORS[sighting.flavor].title if sighting.flavor else "a server that does not say who it is"


def _models(names: tuple[str, ...]) -> str:
    if not names:
        return "it lists no model that can chat"
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"it has {', '.join(names[:MAX_NAMED])}{more}"


def _chosen(facts: Facts, reached: Reached) -> bool:
    chosen = facts.choice
    if chosen.model is not None:
        return chosen.model.endpoint == reached.endpoint
    return bool(chosen.saved) and endpoint_of(chosen.saved or "", [reached.endpoint]) is not None
