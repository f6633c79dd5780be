"""The source tree as the architecture tests see it: each module with its dotted name and what it imports."""

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "fakturo.schemas": ROOT / "schemas",
    "fakturo.engine": ROOT / "engine",
    "fakturo.consumers": ROOT / "consumers",
    "fakturo.producers": ROOT / "producers",
    "fakturo.cli": ROOT / "cli",
    "fakturo.migrations": ROOT / "deploy" / "migrations",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One source file; `imports` are the full dotted names it imports, the imported names included."""

    name: str
    path: Path
    tree: ast.Module
    source: str
    imports: frozenset[str]

    @property
    def where(self) -> str:
        return str(self.path.relative_to(ROOT))


@cache
def modules() -> tuple[Module, ...]:
    """Return every module of the package."""
    return tuple(_module(name, path) for name, path in _files())


def project() -> dict[str, object]:
    """Return pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def within(name: str, package: str) -> bool:
    """Return whether the dotted `name` is `package` or something in it."""
    return name == package or name.startswith(f"{package}.")


def _files() -> Iterator[tuple[str, Path]]:
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            yield ".".join((package, *parts)), path


def _module(name: str, path: Path) -> Module:
    source = path.read_text()
    tree = ast.parse(source, str(path))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return Module(name=name, path=path, tree=tree, source=source, imports=frozenset(_imports(tree, package)))


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
