"""The floors of the house (ARCHITECTURE.md): who may import whom, read from the source."""

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.source import PACKAGE, Module, modules

Rooms = Sequence[set[str]]

FLOORS: Rooms = (
    {"values"},
    {"parsing", "wire"},
    {"setup"},
    {"models", "residency", "files", "engines.mlx", "engines.http", "engines.servers"},
    {"llm", "doctor"},
    {"delegation"},
    {"bench"},
    {"doors.results_text", "agents.forwarder"},
    {"doors.mcp", "doors.http", "doors.cli", "agents"},
    {"local_parts"},
    {"app"},
    {"start"},
    {"__main__"},
)
"""Rooms from the ground up: an import goes to a lower floor or stays in its room. The longest name that fits counts."""

INSIDE: Mapping[str, Rooms] = {
    "engines.mlx": (
        {"limits", "file_limit", "heap"},
        {"prompt"},
        {"messages"},
        {"load"},
        {"prefix", "steer"},
        {"batch"},
        {"watch"},
        {"worker"},
        {"thread", "chunks"},
        {"engine"},
    ),
    "parsing": (
        {"parsed", "markup", "lenient_json", "literal_zones", "shown_text"},
        {"json_calls", "offered_tools", "opening"},
        {"tool_formats"},
        {"markup_scanner"},
        {"reasoning", "announced", "harmony", "bare_calls"},
        {"answer_markers"},
        {"parser", "certain_output"},
        {"streaming", "server_messages"},
    ),
    "files": ({"byte_order_marks"}, {"access"}, {"reading", "writing"}, {"tasks"}),
    "delegation": (
        {"task", "requests"},
        {"workplace", "counting"},
        {"asking"},
        {"parts"},
        {"call"},
        {"answer"},
        {"each_file"},
        {"draft"},
        {"delegation"},
    ),
    "agents.forwarder": (
        {"addresses", "headers", "refusals", "model_name", "server"},
        {"body", "order"},
        {"connection"},
        {"upstream"},
        {"forwarding"},
        {"launched", "__main__"},
    ),
    "llm": (
        {"llm", "line_socket", "attached", "listing", "quick_test", "request_log", "request_schemas", "counters"},
        {"verb_lines", "retry", "loading"},
        {"local", "remote", "verb_server"},
        {"ownership"},
        {"session"},
    ),
}
"""Inside a room, from the ground up. A part may import within itself and below; parts of one floor not each other."""

DOORS_MAY = {"llm.llm"}
"""What doors and delegated work know of the verbs: the protocol alone."""

ABOVE_VERBS = ("doors.", "delegation", "bench", "agents")

HOMES = {
    "matplotlib": {"bench"},
    "ruamel": {"agents.install"},
    "mlx": {"engines.mlx"},
    "mlx_lm": {"engines.mlx"},
    "transformers": {"engines.mlx"},
    "httpx": {"engines.http", "models.hub", "agents.forwarder"},
    "huggingface_hub": {"models.hub"},
    "mcp": {"doors.mcp"},
    "mcp_types": {"doors.mcp"},
    "starlette": {"doors.http"},
    "uvicorn": {"doors.http", "agents.forwarder"},
    "typer": {"doors.cli"},
    "rich": {"doors.cli"},
    "prompt_toolkit": {"doors.cli"},
    "tomlkit": {"setup", "agents.install"},
}
"""Library → the rooms that may know it."""

MAX_LOOSE, MAX_IN_FOLDER = 6, 20


def part(name: str, rooms: Rooms) -> int | None:
    """The number of the floor on which a name lies; the longest prefix decides."""
    fits = [
        (len(room), number)
        for number, floor in enumerate(rooms)
        for room in floor
        if name == room or name.startswith(f"{room}.")
    ]
    return max(fits)[1] if fits else None


def own(name: str) -> str:
    """A module's name inside the package."""
    return name.removeprefix(PACKAGE).lstrip(".")


def room_of(name: str) -> str:
    """The room in which a module lies."""
    rooms = [room for floor in FLOORS for room in floor if name == room or name.startswith(f"{room}.")]
    return max(rooms, key=len, default="")


def imports(module: Module) -> Iterator[tuple[str, int]]:
    """The modules of this package that a module imports, and the lines."""
    for line in module.imports():
        if line.module.startswith(f"{PACKAGE}."):
            yield own(line.module), line.line


def allowed(importer: str, imported: str) -> bool:
    """Whether the tables let one module import another."""
    if imported in DOORS_MAY and importer.startswith(ABOVE_VERBS):
        return True
    if importer.startswith(ABOVE_VERBS) and imported.startswith("llm"):
        return False
    here, there = room_of(importer), room_of(imported)
    if here != there:
        above, below = part(importer, FLOORS), part(imported, FLOORS)
        return above is not None and below is not None and below < above
    inside = INSIDE.get(here)
    if inside is None or importer == here or imported == here:
        return True
    one, other = importer.removeprefix(f"{here}."), imported.removeprefix(f"{here}.")
    above, below = part(one, inside), part(other, inside)
    same = one.partition(".")[0] == other.partition(".")[0]
    flat = "." not in one and "." not in other
    return above is not None and below is not None and (below < above or (below == above and (same or flat)))


def test_every_module_lies_on_a_floor() -> None:
    holders = {"", "engines", "doors"}
    lost = [str(module) for name, module in modules().items() if own(name) not in holders and not room_of(own(name))]
    assert lost == []


def test_every_module_imports_only_what_lies_below_it() -> None:
    wrong = [
        f"{module}:{line} imports {imported}"
        for name, module in modules().items()
        for imported, line in imports(module)
        if not allowed(own(name), imported)
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    found = modules()
    graph = {
        name: {line.module for line in module.imports() if line.module in found and not line.typing} - {name}
        for name, module in found.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_every_library_is_known_in_its_own_room_only() -> None:
    wrong = [
        f"{module}:{line.line} imports {line.module}"
        for name, module in modules().items()
        for line in module.imports()
        if (homes := HOMES.get(line.module.partition(".")[0])) is not None
        and not any(own(name) == home or own(name).startswith(f"{home}.") for home in homes)
    ]
    assert wrong == []


def test_what_a_start_imports_leads_to_no_heavy_library_and_to_nothing_that_a_forwarding_session_leaves_out() -> None:
    found = modules()
    heavy = {"mlx", "mlx_lm", "transformers", "httpx", "huggingface_hub", "typer", "rich", "starlette", "uvicorn"}
    waiting, reached = [f"{PACKAGE}.start", f"{PACKAGE}.doors.mcp"], set[str]()
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
    assert f"{PACKAGE}.llm.session" in reached
    # Engines, catalogue and resident model belong to the process that holds the lease.
    unused = tuple(
        f"{PACKAGE}.{room}" for room in ("engines", "models.catalog", "models.find", "models.hub", "llm.local")
    )
    assert [name for name in sorted(reached) if name.startswith(unused)] == []


def test_a_folder_can_be_looked_over() -> None:
    folders: dict[str, int] = {}
    for name, module in modules().items():
        folder = own(name) if module.path.name == "__init__.py" else own(name).rpartition(".")[0]
        folders[folder] = folders.get(folder, 0) + (module.path.name not in ("__init__.py", "__main__.py"))
    assert folders[""] <= MAX_LOOSE
    assert {folder: count for folder, count in folders.items() if count > MAX_IN_FOLDER} == {}
