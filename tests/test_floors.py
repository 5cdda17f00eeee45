"""The floors of the house (ARCHITECTURE.md): who may import whom, read from the source."""

from tests.source import PACKAGE, Module, modules

FLOORS = (
    {"errors", "chat", "model", "engine", "endpoint", "launch", "regular_file"},
    {"parsing", "wire", "resolve", "budget", "guide", "admission", "profiles", "request_schemas"},
    {
        *("settings", "state", "registry", "prompts", "machine", "speeds"),
        *("discovery", "hub", "residency", "engines.mlx", "engines.http", "engines.process"),
    },
    {
        "catalog",
        "llm",
        "quick_test",
        "benchmark",
        "reports",
        "rows",
        "downloads",
        "suggestions",
        "tally",
        "request_log",
        "doctor",
    },
    {"mcp_server", "openai_api", "cli"},
    {"app", "ground", "checkup", "engine_settings", "__main__"},
)
"""Rooms from the ground up: thin words, thought, hands, core, doors, and the composition root."""

HOMES = {
    "mlx": {"engines.mlx"},
    "mlx_lm": {"engines.mlx"},
    "transformers": {"engines.mlx"},
    "httpx": {"engines.http", "hub"},
    "mcp": {"mcp_server"},
    "mcp_types": {"mcp_server"},
    "starlette": {"openai_api"},
    "uvicorn": {"openai_api"},
    "huggingface_hub": {"hub"},
    "typer": {"cli"},
    "rich": {"cli"},
}
"""Library → the rooms that may know it."""

MANY = {"app", "engine_settings"}
"""May import several rooms of one floor; `app` alone names concrete classes of several packages."""


def room(name: str) -> str:
    """The room a module lies in: a top-level module or package; each engine is one."""
    parts = name.removeprefix(f"{PACKAGE}.").split(".")
    return ".".join(parts[:2]) if parts[0] == "engines" and len(parts) > 1 else parts[0]


def floor(name: str) -> int:
    """The floor of a room."""
    found = [number for number, rooms in enumerate(FLOORS) if name in rooms]
    assert len(found) == 1, f"{name} has no floor; give it one in this test and in ARCHITECTURE.md"
    return found[0]


def own(module: Module) -> bool:
    """Whether the module lies in a room; the packages that only hold rooms do not."""
    return module.name not in (PACKAGE, f"{PACKAGE}.engines")


def may_import(importer: str, imported: str, packages: set[str]) -> bool:
    """Lower floors, itself, and beside it only a single module from a single module; never a sibling package."""
    if importer == imported or floor(imported) < floor(importer):
        return True
    return floor(imported) == floor(importer) and not {importer, imported} & packages


def test_every_room_imports_only_what_lies_below_it() -> None:
    found = modules()
    packages = {room(name) for name, module in found.items() if module.path.name == "__init__.py"}
    wrong = [
        f"{module}:{line.line} imports {line.module}"
        for module in found.values()
        if own(module)
        for line in module.imports()
        if line.module.startswith(f"{PACKAGE}.") and not may_import(room(module.name), room(line.module), packages)
    ]
    assert wrong == []


def test_every_library_is_known_in_its_own_room_only() -> None:
    wrong = [
        f"{module}:{line.line} imports {line.module}"
        for module in modules().values()
        for line in module.imports()
        if (homes := HOMES.get(line.module.partition(".")[0])) is not None and room(module.name) not in homes
    ]
    assert wrong == []


def test_what_a_start_imports_leads_to_no_heavy_library() -> None:
    found = modules()
    heavy = {"mlx", "mlx_lm", "transformers", "httpx", "huggingface_hub", "typer", "rich", "starlette", "uvicorn"}
    waiting, reached = [f"{PACKAGE}.app", f"{PACKAGE}.mcp_server"], set[str]()
    wrong: list[str] = []
    while waiting:
        name = waiting.pop()
        if name in reached or name not in found:
            continue
        reached.add(name)
        for line in found[name].imports():
            if line.lazy or line.typing:
                continue
            waiting.append(line.module)
            parents = line.module.split(".")
            waiting += [".".join(parents[:depth]) for depth in range(2, len(parents))]
            if line.module.partition(".")[0] in heavy:
                wrong.append(f"{found[name]}:{line.line} imports {line.module}")
    assert wrong == []
    # An attached session forwards verbs: it needs no catalogue, no resident model and no engine.
    assert f"{PACKAGE}.llm.session" in reached
    unused = ("catalog", "discovery", "hub", "engines", "budget", "resolve", "llm.local")
    assert [name for name in sorted(reached) if name.startswith(tuple(f"{PACKAGE}.{room}" for room in unused))] == []


def test_only_the_composition_root_imports_several_doors_or_engines() -> None:
    wrong = [
        f"{module} knows {sorted(named)}"
        for module in modules().values()
        if own(module) and room(module.name) not in MANY
        for named in [{room(line.module) for line in module.imports() if line.module.startswith(f"{PACKAGE}.")}]
        if len(named & (FLOORS[4] | {"engines.mlx", "engines.http", "engines.process"})) > 1
    ]
    assert wrong == []
