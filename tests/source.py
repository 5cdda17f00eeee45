"""The project's own source, as tests read it: modules, what they import and when, comments."""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = "mcp_local_llm"
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Import:
    """One imported module. `lazy`: inside a function; `typing`: for type checkers only."""

    module: str
    line: int
    lazy: bool
    typing: bool


@dataclass(frozen=True)
class Module:
    """One file."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    def imports(self) -> list[Import]:
        """Everything it imports; `from package import module` counts as the module."""
        return list(_imports_of(self.name))

    def comments(self) -> dict[int, str]:
        """Line → comment."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}


@cache
def modules() -> dict[str, Module]:
    """Every module of the package under its dotted name; read once, for it does not change under a test."""
    found: dict[str, Module] = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        found[name] = Module(name, path, text, ast.parse(text, str(path)))
    return found


@cache
def _imports_of(name: str) -> tuple[Import, ...]:
    return tuple(_imports(modules()[name].tree, name, lazy=False, typing=False))


def _imports(node: ast.AST, name: str, *, lazy: bool, typing: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names=names):
                yield from (Import(alias.name, child.lineno, lazy, typing) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                assert level == 0, f"{name} imports relatively in line {child.lineno}"
                for alias in names:
                    whole = f"{module}.{alias.name}"
                    path = ROOT.joinpath(*whole.split("."))
                    is_module = path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
                    yield Import(whole if is_module else str(module), child.lineno, lazy, typing)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from _imports(child, name, lazy=True, typing=typing)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from _imports(child, name, lazy=lazy, typing=True)
            case _:
                yield from _imports(child, name, lazy=lazy, typing=typing)
