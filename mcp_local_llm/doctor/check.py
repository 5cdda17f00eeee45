"""Reads every fact once, files on a thread and servers side by side, and judges them in the order a reader asks."""

from collections.abc import Callable

import anyio
import anyio.to_thread

from mcp_local_llm.doctor import model_checks, server_checks, setup_checks
from mcp_local_llm.doctor.facts import Choice, Facts, Finding, Reached, Sources, Tenancy
from mcp_local_llm.values.endpoint import Endpoint, Sighting
from mcp_local_llm.values.errors import BackendUnavailableError, ConfigError, LocalLLMError


def report(facts: Facts) -> tuple[Finding, ...]:
    """Judge everything that was read."""
    parts = (
        setup_checks.versions,
        setup_checks.engine,
        setup_checks.machine,
        setup_checks.settings,
        setup_checks.variables,
        model_checks.models,
        model_checks.choice,
        model_checks.registry,
        setup_checks.resident,
        setup_checks.llama_server,
        model_checks.linux_cpu,
        model_checks.recommendation,
        server_checks.endpoints,
        server_checks.sightings,
        setup_checks.claude,
    )
    return tuple(finding for part in parts for finding in part(facts))


async def gather(sources: Sources) -> Facts:
    """Read everything; what cannot be read is a fact as well, so nothing is raised for it."""
    surveyed = await anyio.to_thread.run_sync(sources.survey)
    measured = await anyio.to_thread.run_sync(sources.measured)
    choices, tenancies, sightings = list[Choice](), list[Tenancy](), list[Sighting]()
    import_faults: list[str] = []
    reached: dict[str, Reached] = {}

    async def choose() -> None:
        choices.append(await _choice(sources))

    async def hold() -> None:
        tenancies.append(await _tenancy(sources))

    async def sight() -> None:
        sightings.extend(await sources.sightings())

    async def import_engine() -> None:
        import_faults.append(await sources.import_engine())

    async def reach(endpoint: Endpoint) -> None:
        reached[endpoint.name] = await _reached(sources, endpoint)

    endpoints = sources.setup.settings.endpoints
    async with anyio.create_task_group() as group:
        for ask in (choose, hold, sight, import_engine):
            group.start_soon(ask)
        for endpoint in endpoints:
            group.start_soon(reach, endpoint)
    return Facts(
        setup=sources.setup,
        surveyed=surveyed,
        choice=choices[0],
        tenancy=tenancies[0],
        plan=sources.plan(),
        measured=measured,
        reached=tuple(reached[endpoint.name] for endpoint in endpoints),
        sightings=tuple(sightings),
        import_fault=import_faults[0],
    )


async def _choice(sources: Sources) -> Choice:
    saved = None
    try:
        saved = sources.saved()
        found = await sources.chosen()
    except LocalLLMError as error:
        return Choice(saved, error=str(error))
    return Choice(saved, found.model, found.note)


async def _tenancy(sources: Sources) -> Tenancy:
    lease = sources.lease
    fault = _said(lease.inspect)
    if fault or not lease.elsewhere():
        return Tenancy(lease.folder, fault)
    holder = lease.owner()
    pid, version = (holder.pid, holder.version) if holder else (None, "")
    try:
        return Tenancy(lease.folder, pid=pid, version=version, report=await sources.holder())
    except LocalLLMError as error:
        if not lease.elsewhere():
            return Tenancy(lease.folder)  # It left between the two questions.
        return Tenancy(lease.folder, pid=pid, version=version, silent=str(error))


def _said(check: Callable[[], None]) -> str:
    try:
        check()
    except ConfigError as error:
        return str(error)
    return ""


async def _reached(sources: Sources, endpoint: Endpoint) -> Reached:
    try:
        return Reached(endpoint, await sources.listed(endpoint))
    except LocalLLMError as error:
        return Reached(endpoint, error=str(error), absent=isinstance(error, BackendUnavailableError))
