"""House rules that a linter does not know: size, names, opening docstrings, nothing left for later."""

import ast
import re
from collections.abc import Iterator

from tests.architecture.tree import ROOT, modules

LINES_MAX = 400
FUNCTION_LINES_MAX = 60
BANNED_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "base", "misc"}
LEFT_FOR_LATER = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")


def test_every_module_opens_with_a_docstring() -> None:
    assert [m.where for m in modules() if m.source.strip() and not ast.get_docstring(m.tree)] == []


def test_no_file_is_longer_than_400_lines() -> None:
    assert [m.where for m in modules() if len(m.source.splitlines()) > LINES_MAX] == []


def test_no_function_is_longer_than_60_lines() -> None:
    found = [
        f"{m.where}:{node.lineno} {node.name}"
        for m in modules()
        for node in ast.walk(m.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert found == []


def test_no_module_is_named_for_nothing() -> None:
    assert [m.where for m in modules() if set(m.name.split(".")) & BANNED_NAMES] == []


def _committed_text() -> Iterator[tuple[str, int, str]]:
    for pattern in ("*.py", "*.md", "*.yml", "*.yaml", "*.toml", "*.sh", "Makefile"):
        for path in ROOT.rglob(pattern):
            where = path.relative_to(ROOT)
            if any(part.startswith(".") and part != ".ci" for part in where.parts):
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                yield str(where), number, line


def test_nothing_is_left_for_later() -> None:
    found = [
        f"{where}:{number}: {line.strip()}" for where, number, line in _committed_text() if LEFT_FOR_LATER.search(line)
    ]
    assert found == []


def test_no_blind_except_outside_the_runtime() -> None:
    found = [
        f"{m.where}:{node.lineno}"
        for m in modules()
        if not m.where.startswith("consumers/runtime/")
        for node in ast.walk(m.tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}))
        and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
    ]
    assert found == []
