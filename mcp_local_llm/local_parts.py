"""Composes the executor of verbs in this process and the check-up, which read the same files.

A session that forwards its verbs does not import this module.
"""

import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mcp_local_llm import __version__
from mcp_local_llm.agents.install.check import read_clients
from mcp_local_llm.agents.install.install import installer
from mcp_local_llm.doctor import Examination, FactSources, InstallationFacts, Setup, check_facts, read_facts
from mcp_local_llm.doctor.bundle import bundle_text
from mcp_local_llm.doctor.read import GPU_FILES, claude_settings, import_fault, platform_facts, versions
from mcp_local_llm.engines.http import EndpointLoader, EndpointModels, list_endpoint, look_at_ports
from mcp_local_llm.engines.mlx import MlxLoader
from mcp_local_llm.engines.mlx.limits import mlx_limits
from mcp_local_llm.engines.servers import Programs, ServerLoader, find_programs, startable_models
from mcp_local_llm.llm.local import Local
from mcp_local_llm.llm.remote import Remote
from mcp_local_llm.models.catalog import Catalog
from mcp_local_llm.models.choice import ChoiceFile
from mcp_local_llm.models.downloads import Downloads
from mcp_local_llm.models.find import (
    FolderCache,
    ModelRoots,
    announced_model,
    default_roots,
    find_models,
    folder_warnings,
    native_architectures,
)
from mcp_local_llm.models.hub import Hub, Repository, hub_access
from mcp_local_llm.models.roles import read_registry
from mcp_local_llm.models.speed import MIN_PROMPT_TOKENS, SpeedFile
from mcp_local_llm.models.storage import Storage
from mcp_local_llm.residency import Lease, Resident, RoutingLoader
from mcp_local_llm.residency.lease import lease_of_user
from mcp_local_llm.setup.log_file import LOG_NAME, file_fault, log_tail
from mcp_local_llm.setup.machine import MachineReader, local_machine_reader, memory_reader, read_machine
from mcp_local_llm.setup.places import choice_file, prefix_folder, registry_path, state_folder, working_folder
from mcp_local_llm.setup.private_words import private_words
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.values.engine import Engine
from mcp_local_llm.values.machine import Machine
from mcp_local_llm.values.model import FoundModels, ModelInfo
from mcp_local_llm.values.progress import ReportProgress


@dataclass(frozen=True)
class ModelParts:
    """The objects that find models, for the executor of verbs and for the check-up.

    Attributes:
        state: the folder of files that are kept between runs; `registry`: the file of the roles.
        find: lists the models on this machine, given the programs that could run them.
    """

    home: Path
    state: Path
    registry: Path
    machine_reader: MachineReader
    roots: ModelRoots
    programs: Callable[[], Programs]
    find: Callable[[Programs], tuple[ModelInfo, ...]]
    catalog: Catalog
    speeds: SpeedFile
    lease: Lease

    def machine(self) -> Machine:
        """Read the facts of the machine anew."""
        return read_machine(self.machine_reader)


def find_parts(
    environ: Mapping[str, str], home: Path, settings: Settings, served: Callable[[], Awaitable[FoundModels]]
) -> ModelParts:
    """Make the parts from this user's folders; reads nothing yet. `served` lists the models of the endpoints."""
    state = state_folder(environ, home)
    registry = registry_path(environ, home)
    roots = default_roots(environ, home, settings.folders)
    machine_reader = local_machine_reader()
    cache = FolderCache()

    def programs() -> Programs:
        return find_programs(environ, llama_server=settings.llama_server, beside=Path(sys.executable).parent)

    def find(runnable: Programs | None = None) -> tuple[ModelInfo, ...]:
        models = find_models(roots, cache=cache)
        if not settings.cluster and not any(model.format == "gguf" for model in models):
            return models  # No model needs a program, for which each folder of the PATH would be searched.
        return startable_models(models, settings.cluster, runnable or programs())

    catalog = Catalog(
        find=find,
        registry=lambda: read_registry(registry),
        memory=lambda: read_machine(machine_reader).memory,
        state=ChoiceFile(choice_file(environ, home)),
        settings=settings,
        served=served,
    )
    return ModelParts(
        home=home,
        state=state,
        registry=registry,
        machine_reader=machine_reader,
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
    """Make the executor of verbs in this process; `keep` takes its engines, which are closed at the end."""
    parts = find_parts(environ, home, settings, EndpointModels(settings.endpoints, environ))
    hub = Hub(hub_access(environ, home, parts.roots.hub_caches[0]))
    prefixes = prefix_folder(environ, home, parts.machine_reader.system)
    mlx = MlxLoader(mlx_limits(settings, prefixes=prefixes, memory=memory_reader(parts.machine_reader)))
    clusters = parts.state / "clusters"
    servers = ServerLoader(settings, _connect, parts.programs, environ=environ, folder=clusters, python=sys.executable)
    keep(mlx, servers)
    routed = RoutingLoader(here=mlx, started=servers.load, elsewhere=EndpointLoader(environ).load)
    return Local(
        catalog=parts.catalog,
        resident=Resident(routed, idle_s=settings.idle_minutes * 60),
        downloads=Downloads(hub=hub, catalog=parts.catalog, describe=_planned_model),
        speeds=parts.speeds,
        prefill_speeds=SpeedFile(parts.state / "prefill_speeds.json", least_tokens=MIN_PROMPT_TOKENS),
        machine=parts.machine,
    )


def storage(environ: Mapping[str, str], home: Path, settings: Settings) -> Storage:
    """Make the part that finds the files of models and removes them; reads nothing yet."""
    parts = find_parts(environ, home, settings, EndpointModels(settings.endpoints, environ))
    choice = ChoiceFile(choice_file(environ, home))
    return Storage(parts.catalog, parts.roots, choice, lambda: read_registry(parts.registry), str(parts.registry))


async def examine(parts: ModelParts, setup: Setup, ports: Iterable[int]) -> Examination:
    """Read all facts and check them.

    Args:
        parts: made with the settings of `setup`.
        setup: the settings of the user.
        ports: of 127.0.0.1, on which servers are detected.
    """
    environ = setup.environ
    remote = Remote(parts.lease.socket, __version__, parts.lease.owner)
    sources = FactSources(
        setup=setup,
        installation=partial(_installation, parts, environ),
        saved=parts.catalog.saved,
        chosen=partial(parts.catalog.chosen, setup.settings.model),
        plan=partial(parts.catalog.planner, None, ever=True),
        measured=parts.speeds.measured,
        lease=parts.lease,
        owner_status=remote.status,
        listed=lambda endpoint: list_endpoint(endpoint, environ),
        servers=partial(look_at_ports, tuple(ports)),
        import_engine=partial(import_fault, environ),
        clients=partial(read_clients, installer(parts.home, environ, parts.machine_reader.system)),
    )
    facts = await read_facts(sources)
    findings = check_facts(facts)
    words = private_words(setup.settings, environ, parts.home, folder=working_folder() or Path(os.sep))

    def bundle() -> str:
        return bundle_text(facts, findings, words, platform=platform_facts(), log=log_tail(facts.installation.log[0]))

    return Examination(findings, bundle)


def _installation(parts: ModelParts, environ: Mapping[str, str]) -> InstallationFacts:
    programs = parts.programs()
    # The check-up reports a missing llama-server once, not with each GGUF model.
    assumed = replace(programs, llama_server=programs.llama_server or Path("llama-server"))
    machine = parts.machine()
    return InstallationFacts(
        versions=versions(),
        machine=machine,
        gpu=machine.system == "Darwin" or any(path.exists() for path in GPU_FILES),
        registry=read_registry(parts.registry),
        models=parts.find(assumed),
        llama_server=programs.llama_server,
        claude=claude_settings(environ, parts.home),
        folder_warnings=folder_warnings(parts.roots.extra),
        log=(log := parts.state / LOG_NAME, file_fault(log)),
    )


async def _connect(model: ModelInfo, key: Mapping[str, str], report: ReportProgress) -> Engine:
    return await EndpointLoader(key).load(model, report)


def _planned_model(repository: Repository) -> ModelInfo:
    names = [file.name for file in repository.files]
    architectures = native_architectures()
    return announced_model(repository.id, dict(repository.config), names, repository.weight_bytes, architectures)
