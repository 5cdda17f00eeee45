"""Rules of style that a machine can check (CONTRIBUTING.md)."""

import ast
import re
from collections.abc import Iterator

from tests.source import PACKAGE, ROOT, Module, modules

MAX_LINES = 300
MAX_FUNCTION_LINES = 60
VAGUE = re.compile(r"(Manager|Helper|Utils?|Base|Handler)$")
MARKS = re.compile(r"\b(TODO|FIXME|XXX)\b|#\s*(noqa|type:\s*ignore|pragma)")


def test_files_stay_short_enough_to_read_in_one_go() -> None:
    assert [f"{module}: {lines(module)}" for module in modules().values() if lines(module) > MAX_LINES] == []


def test_functions_stay_short() -> None:
    assert [
        f"{module}:{node.lineno} {node.name} has {length} lines"
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        # A tool's signature is its schema, and lies inside the function that makes the tools.
        and module.name != f"{PACKAGE}.doors.mcp.server"
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ] == []


def test_every_module_opens_by_saying_what_it_is() -> None:
    assert [str(module) for module in modules().values() if not ast.get_docstring(module.tree)] == []


def test_there_is_no_global_state() -> None:
    assert [
        f"{module}:{node.lineno}"
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Global | ast.Nonlocal) and isinstance(node, ast.Global)
    ] == []
    assert [
        f"{module}:{node.lineno} {ast.unparse(node)[:60]}"
        for module in modules().values()
        for node in module.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and mutable(node.value) and not constant(node)
    ] == []


def test_importing_a_module_only_defines() -> None:
    assert [
        f"{module}:{node.lineno} {ast.unparse(node)[:60]}"
        for module in modules().values()
        for node in module.tree.body
        if not defines(node)
    ] == []


def test_a_catch_of_everything_has_its_reason_beside_it() -> None:
    assert [f"{module}:{handler.lineno}" for module in modules().values() for handler in unexplained(module)] == []


def test_only_the_command_line_prints() -> None:
    assert [
        f"{module}:{node.lineno}"
        for module in modules().values()
        if not module.name.startswith(f"{PACKAGE}.doors.cli")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ] == []


def test_names_say_what_a_thing_is() -> None:
    assert [
        f"{module}:{node.lineno} {node.name}"
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and VAGUE.search(node.name)
    ] == []


def test_no_work_is_left_in_comments_and_no_checker_is_silenced() -> None:
    files = [
        path for folder in (PACKAGE, "benchmarks", "examples", "training") for path in (ROOT / folder).rglob("*.py")
    ]
    assert [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if MARKS.search(line)
    ] == []


def lines(module: Module) -> int:
    return len(module.text.splitlines())


def unexplained(module: Module) -> Iterator[ast.ExceptHandler]:
    """The handlers for every exception without a comment between the line above them and their first statement."""
    comments = module.comments()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler) and catches_all(node.type):
            beside = range(node.lineno - 1, node.body[0].lineno + 1)
            if not any(line in comments for line in beside):
                yield node


def catches_all(caught: ast.expr | None) -> bool:
    match caught:
        case None:
            return True
        case ast.Name(id=name):
            # A handler for BaseException that raises again cleans up; it hides nothing.
            return name == "Exception"
        case ast.Tuple(elts=elements):
            return any(catches_all(element) for element in elements)
        case _:
            return False


def mutable(value: ast.expr | None) -> bool:
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def constant(node: ast.Assign | ast.AnnAssign) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return all(isinstance(target, ast.Name) and (target.id.isupper() or target.id == "__all__") for target in targets)


def defines(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Compare(left=ast.Name(id="__name__"))):
            return True
        case _:
            return isinstance(
                node,
                ast.Import
                | ast.ImportFrom
                | ast.FunctionDef
                | ast.AsyncFunctionDef
                | ast.ClassDef
                | ast.Assign
                | ast.AnnAssign,
            )
