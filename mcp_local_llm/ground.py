"""What everything stands on: where settings, models and state lie, and the parts that read them. Loads nothing.

A part of the composition root, apart from `app.py` because the check-up stands on it as well, without engines.
"""

import os
import platform
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.engines.servers import Programs, find_programs, startable_models
from mcp_local_llm.models.catalog import Catalog
from mcp_local_llm.models.choice import StateFile
from mcp_local_llm.models.find import FolderCache, ModelRoots, default_roots, find_models
from mcp_local_llm.models.roles import read_registry, registry_path
from mcp_local_llm.models.speed import SpeedFile
from mcp_local_llm.residency import Lease, runtime_folder
from mcp_local_llm.setup.machine import Machine, Probe, local_probe, read_machine
from mcp_local_llm.setup.settings import Settings
from mcp_local_llm.values.model import Found, ModelInfo


@dataclass(frozen=True)
class Ground:
    """What everything stands on, whether or not a model is ever loaded: where things lie, and who reads them.

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


def lay_ground(
    environ: Mapping[str, str], home: Path, settings: Settings, served: Callable[[], Awaitable[Found]]
) -> Ground:
    """Find out where everything lies for this user; reads nothing yet. `served` lists the models of the endpoints."""
    config = _xdg(environ, "XDG_CONFIG_HOME", home / ".config")
    state = _xdg(environ, "XDG_STATE_HOME", home / ".local" / "state") / "mcp-local-llm"
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
        state=StateFile(config / "mlx-mcp" / "active_model"),
        settings=settings,
        served=served,
    )
    return Ground(
        home=home,
        state=state,
        registry=registry,
        probe=probe,
        roots=roots,
        programs=programs,
        find=find,
        catalog=catalog,
        speeds=SpeedFile(state / "speeds.json"),
        lease=lay_lease(environ, home),
    )


def lay_lease(environ: Mapping[str, str], home: Path) -> Lease:
    """Return this process's view of the lease of this user."""
    return Lease(runtime_folder(environ, home, system=platform.system(), uid=os.getuid()))


def prefix_folder(environ: Mapping[str, str], home: Path, system: str) -> Path:
    """Return where prompts may be kept on the disk; `system` as `platform.system()`.

    In the cache folder of this user, which backups leave out.
    """
    default = home / "Library" / "Caches" if system == "Darwin" else home / ".cache"
    return _xdg(environ, "XDG_CACHE_HOME", default) / "mcp-local-llm" / "prefixes"


def settings_file(environ: Mapping[str, str], home: Path) -> Path:
    """Return where the settings are read from."""
    return _xdg(environ, "XDG_CONFIG_HOME", home / ".config") / "mcp-local-llm" / "config.toml"


def _xdg(environ: Mapping[str, str], variable: str, default: Path) -> Path:
    named = environ.get(variable, "")
    # The XDG specification: a path that is not absolute is invalid and ignored.
    return Path(named) if Path(named).is_absolute() else default
