"""Reads every fact once, files on a thread and servers concurrently, and runs the checks in the order of the report."""

import anyio
import anyio.to_thread

from mcp_local_llm.doctor import model_checks, server_checks, setup_checks
from mcp_local_llm.doctor.facts import ChoiceFacts, ClientFacts, EndpointFacts, Facts, FactSources, Finding, LeaseFacts
from mcp_local_llm.values.endpoint import DetectedServer, Endpoint
from mcp_local_llm.values.errors import BackendUnavailableError, ConfigError, LocalLLMError

CHECKS = (
    setup_checks.versions,
    setup_checks.engine,
    setup_checks.machine,
    setup_checks.settings,
    setup_checks.variables,
    model_checks.models,
    model_checks.choice,
    model_checks.registry,
    setup_checks.lease,
    setup_checks.log_file,
    setup_checks.llama_server,
    model_checks.linux_cpu,
    model_checks.recommendations,
    server_checks.endpoints,
    server_checks.servers,
    setup_checks.claude_code,
    setup_checks.clients,
)


def check_facts(facts: Facts) -> tuple[Finding, ...]:
    """Return the findings of all checks."""
    return tuple(finding for check in CHECKS for finding in check(facts))


async def read_facts(sources: FactSources) -> Facts:
    """Read everything. Nothing is raised for a source that cannot be read: its error is a fact as well."""
    installation = await anyio.to_thread.run_sync(sources.installation)
    measured = await anyio.to_thread.run_sync(sources.measured)
    choices, leases, servers = list[ChoiceFacts](), list[LeaseFacts](), list[DetectedServer]()
    import_faults: list[str] = []
    clients: list[ClientFacts] = []
    endpoints: dict[str, EndpointFacts] = {}

    async def read_choice() -> None:
        choices.append(await _choice(sources))

    async def read_lease() -> None:
        leases.append(await _lease(sources))

    async def detect_servers() -> None:
        servers.extend(await sources.servers())

    async def import_engine() -> None:
        import_faults.append(await sources.import_engine())

    async def read_clients() -> None:
        clients.extend(await sources.clients())

    async def list_endpoint(endpoint: Endpoint) -> None:
        endpoints[endpoint.name] = await _endpoint(sources, endpoint)

    configured = sources.setup.settings.endpoints
    async with anyio.create_task_group() as group:
        for read in (read_choice, read_lease, detect_servers, import_engine, read_clients):
            group.start_soon(read)
        for endpoint in configured:
            group.start_soon(list_endpoint, endpoint)
    return Facts(
        setup=sources.setup,
        installation=installation,
        choice=choices[0],
        lease=leases[0],
        plan=sources.plan(),
        measured=measured,
        endpoints=tuple(endpoints[endpoint.name] for endpoint in configured),
        servers=tuple(servers),
        import_fault=import_faults[0],
        clients=tuple(clients),
    )


async def _choice(sources: FactSources) -> ChoiceFacts:
    saved = None
    try:
        saved = sources.saved()
        found = await sources.chosen()
    except LocalLLMError as error:
        return ChoiceFacts(saved, error=str(error))
    return ChoiceFacts(saved, found.model, found.note)


async def _lease(sources: FactSources) -> LeaseFacts:
    lease = sources.lease
    try:
        lease.inspect()
    except ConfigError as error:
        return LeaseFacts(lease.folder, str(error))
    if not lease.elsewhere():
        return LeaseFacts(lease.folder)
    owner = lease.owner()
    pid, version = (owner.pid, owner.version) if owner else (None, "")
    try:
        return LeaseFacts(lease.folder, pid=pid, version=version, status=await sources.owner_status())
    except LocalLLMError as error:
        if not lease.elsewhere():
            return LeaseFacts(lease.folder)  # The owner ended before it answered.
        return LeaseFacts(lease.folder, pid=pid, version=version, silent=str(error))


async def _endpoint(sources: FactSources, endpoint: Endpoint) -> EndpointFacts:
    try:
        return EndpointFacts(endpoint, await sources.listed(endpoint))
    except LocalLLMError as error:
        return EndpointFacts(endpoint, error=str(error), absent=isinstance(error, BackendUnavailableError))
