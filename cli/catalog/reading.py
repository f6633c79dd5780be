"""A price list read from YAML with the line of every path, so that each fault says where in the file it stands.

Place     FILE -> [this] -> engine/catalog.parse_catalog; its faults, which have paths, get their lines back.
Refuses   what YAML itself lets pass: a key that stands twice (the first would be lost), an alias of itself, a document
          that unfolds to more than a million values.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.engine.catalog import Catalog, parse_catalog
from fakturo.engine.errors import CatalogError, PriceError

VALUES_MAX = 1_000_000
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong, and where: line from 1, path as the engine writes it."""

    line: int
    path: str
    message: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCatalog:
    """A file that was read: the list where nothing is wrong with it, else all that is, in the order of the lines."""

    catalog: Catalog | None
    document: dict[str, Any]
    faults: tuple[Fault, ...]


def read_catalog(path: Path) -> ReadCatalog:
    """Return the price list of `path` and what is wrong with it.

    Raises:
        SettingsFault: the file cannot be read at all.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsFault(f"{path} cannot be read: {error}") from error
    lines: dict[str, int] = {}
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        faults = list(_walk(root, lines)) if root is not None else []
        document = _built(root) if not any(fault.code == "yaml_structure" for fault in faults) else None
    except yaml.YAMLError as error:
        return ReadCatalog(catalog=None, document={}, faults=(_syntax_fault(error),))
    catalog = None
    if document is not None or not faults:
        try:
            catalog = parse_catalog(document)
        except CatalogError as error:
            faults += [_located(fault, lines) for fault in error.faults]
    ordered = tuple(sorted(faults, key=lambda fault: fault.line))
    return ReadCatalog(
        catalog=None if ordered else catalog, document=document if isinstance(document, dict) else {}, faults=ordered
    )


def _built(root: yaml.Node | None) -> Any:
    if root is None:
        return None
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _walk(root: yaml.Node, lines: dict[str, int]) -> Iterator[Fault]:
    """Note the line of every path below `root`, and yield what is wrong with its structure."""
    waiting: list[tuple[yaml.Node, str, tuple[int, ...]]] = [(root, "", ())]
    seen = 0
    while waiting:
        node, path, above = waiting.pop()
        seen += 1
        line = node.start_mark.line + 1
        lines.setdefault(path, line)
        if seen > VALUES_MAX:
            message = f"the document has more than {VALUES_MAX:,} values"
            yield Fault(line=line, path=path, message=message, code="yaml_structure")
            return
        if id(node) in above:
            yield Fault(line=line, path=path, message="an alias refers to itself", code="yaml_structure")
            continue
        inside = (*above, id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(value, f"{path}[{index}]", inside) for index, value in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            yield from _keys(node, path, lines)
            waiting += [(value, _below(path, key), inside) for key, value in node.value if key.tag != _MERGE]


def _keys(node: yaml.MappingNode, path: str, lines: dict[str, int]) -> Iterator[Fault]:
    """Note the line of each key, and yield those that stand twice."""
    first: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.tag == _MERGE or not isinstance(key, yaml.ScalarNode):
            continue
        where = _below(path, key)
        if key.value in first:
            message = f"{key.value} stands here again; it was in line {first[key.value]} first"
            yield Fault(line=line, path=where, message=message, code="key_repeated")
        first.setdefault(key.value, line)
        lines.setdefault(where, line)


def _below(path: str, key: yaml.Node) -> str:
    name = key.value if isinstance(key, yaml.ScalarNode) else "?"
    return f"{path}.{name}" if path else str(name)


def _located(fault: PriceError, lines: dict[str, int]) -> Fault:
    """Return the fault with the line of its path, or of the nearest part of the path that is in the file."""
    path = fault.path
    while path and path not in lines:
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut > 0 else ""
    return Fault(line=lines.get(path, 1), path=fault.path, message=fault.message, code=fault.code)


def _syntax_fault(error: yaml.YAMLError) -> Fault:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return Fault(line=mark.line + 1 if mark else 1, path="", message=str(problem), code="yaml_syntax")
