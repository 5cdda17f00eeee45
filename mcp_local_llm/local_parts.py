"""The composition of what executes verbs in this process, and of the check-up; both read the same places.

Apart from `app.py`, because a session that forwards its verbs imports none of this.
"""

import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mcp_local_llm import __version__
from mcp_local_llm.doctor import Finding, Setup, Sources, Surveyed, gather, report
from mcp_local_llm.doctor.read import GPU_FILES, claude_settings, import_fault, versions
from mcp_local_llm.engines.http import EndpointLoader, EndpointModels, list_endpoint, look_at_ports
from mcp_local_llm.engines.mlx import MlxLoader
from mcp_local_llm.engines.mlx.limits import mlx_limits
from mcp_local_llm.engines.servers import Programs, ServerLoader, find_programs, startable_models
from mcp_local_llm.engines.servers.engine import server_settings
from mcp_local_llm.llm.local import Local
from mcp_local_llm.llm.remote import Remote
from mcp_local_llm.models.catalog import Catalog
from mcp_local_llm.models.choice import StateFile
from mcp_local_llm.models.downloads import Downloads
from mcp_local_llm.models.find import (
    FolderCache,
    ModelRoots,
    announced_model,
    default_roots,
    find_models,
    native_architectures,
)
from mcp_local_llm.models.hub import Hub, Repository, hub_access
from mcp_local_llm.models.roles import read_registry
from mcp_local_llm.models.speed import SpeedFile
from mcp_local_llm.residency import Lease, Resident, RoutedBackend
from mcp_local_llm.residency.lease import lease_of_user
from mcp_local_llm.setup.machine import Probe, local_probe, memory_reader, read_machine
from mcp_local_llm.setup.places import choice_file, prefix_folder, registry_path, state_folder
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.values.engine import Engine
from mcp_local_llm.values.machine import Machine
from mcp_local_llm.values.model import Found, ModelInfo
from mcp_local_llm.values.progress import ReportProgress


@dataclass(frozen=True)
class ModelParts:
    """What finds models, whether or not one is ever loaded: the places of this user, and what reads them.

    Attributes:
        state: the folder of what we keep between runs; `registry`: the file of the roles.
        find: lists the models on this machine, given the programs that could run them.
    """

    home: Path
    state: Path
    registry: Path
    probe: Probe
    roots: ModelRoots
    programs: Callable[[], Programs]
    find: Callable[[Programs], tuple[ModelInfo, ...]]
    catalog: Catalog
    speeds: SpeedFile
    lease: Lease

    def machine(self) -> Machine:
        """Read the facts of the machine anew."""
        return read_machine(self.probe)


def find_parts(
    environ: Mapping[str, str], home: Path, settings: Settings, served: Callable[[], Awaitable[Found]]
) -> ModelParts:
    """Find the places of this user; reads nothing yet. `served` lists the models of the endpoints."""
    state = state_folder(environ, home)
    registry = registry_path(environ, home)
    roots = default_roots(environ, home, settings.folders)
    probe = local_probe()
    cache = FolderCache()

    def programs() -> Programs:
        return find_programs(environ, llama_server=settings.llama_server, beside=Path(sys.executable).parent)

    def find(runnable: Programs) -> tuple[ModelInfo, ...]:
        return startable_models(find_models(roots, cache=cache), settings.cluster, runnable)

    catalog = Catalog(
        find=lambda: find(programs()),
        registry=lambda: read_registry(registry),
        memory=lambda: read_machine(probe).memory,
        state=StateFile(choice_file(environ, home)),
        settings=settings,
        served=served,
    )
    return ModelParts(
        home=home,
        state=state,
        registry=registry,
        probe=probe,
        roots=roots,
        programs=programs,
        find=find,
        catalog=catalog,
        speeds=SpeedFile(state / "speeds.json"),
        lease=lease_of_user(environ, home),
    )


def make_local(
    environ: Mapping[str, str], home: Path, settings: Settings, keep: Callable[[MlxLoader, ServerLoader], None]
) -> Local:
    """Make what executes verbs in this process; `keep` takes its engines, which are to be closed at the end."""
    parts = find_parts(environ, home, settings, EndpointModels(settings.endpoints, environ))
    hub = Hub(hub_access(environ, home, parts.roots.hub_caches[0]))
    prefixes = prefix_folder(environ, home, parts.probe.system)
    mlx = MlxLoader(mlx_limits(settings, prefixes=prefixes, memory=memory_reader(parts.probe)))
    to_start = server_settings(settings, environ=environ, folder=parts.state / "clusters", python=sys.executable)
    servers = ServerLoader(to_start, _connect, parts.programs)
    keep(mlx, servers)
    routed = RoutedBackend(here=mlx, started=servers, elsewhere=EndpointLoader(environ))
    return Local(
        catalog=parts.catalog,
        resident=Resident(routed, idle_s=settings.idle_minutes * 60),
        downloads=Downloads(hub=hub, catalog=parts.catalog, describe=_announced),
        speeds=parts.speeds,
        machine=parts.machine,
    )


async def examine(parts: ModelParts, setup: Setup, ports: Iterable[int]) -> tuple[Finding, ...]:
    """Read everything and judge it.

    Args:
        parts: those of the application, with the settings of `setup`.
        setup: what the user set.
        ports: of 127.0.0.1, to look for servers on.
    """
    environ = setup.environ
    remote = Remote(parts.lease.socket, __version__, parts.lease.owner)
    sources = Sources(
        setup=setup,
        survey=partial(_survey, parts, environ),
        saved=parts.catalog.saved,
        chosen=partial(parts.catalog.chosen, setup.settings.model),
        plan=partial(parts.catalog.planner, None, ever=True),
        measured=parts.speeds.measured,
        lease=parts.lease,
        holder=remote.status,
        listed=lambda endpoint: list_endpoint(endpoint, environ),
        sightings=partial(look_at_ports, tuple(ports)),
        import_engine=partial(import_fault, environ),
    )
    return report(await gather(sources))


def _survey(parts: ModelParts, environ: Mapping[str, str]) -> Surveyed:
    programs = parts.programs()
    # A GGUF model lacks nothing itself: that its program is missing is told once, not with each of them.
    assumed = replace(programs, llama_server=programs.llama_server or Path("llama-server"))
    machine = parts.machine()
    return Surveyed(
        versions=versions(),
        machine=machine,
        gpu=machine.system == "Darwin" or any(path.exists() for path in GPU_FILES),
        registry=read_registry(parts.registry),
        models=parts.find(assumed),
        llama_server=programs.llama_server,
        claude=claude_settings(environ, parts.home),
    )


async def _connect(model: ModelInfo, key: Mapping[str, str], report: ReportProgress) -> Engine:
    return await EndpointLoader(key).load(model, report)


def _announced(repository: Repository) -> ModelInfo:
    names = [file.name for file in repository.files]
    architectures = native_architectures()
    return announced_model(repository.id, dict(repository.config), names, repository.weight_bytes, architectures)
