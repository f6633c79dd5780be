"""The engine computes: no float, no coroutine, no print, no look at the clock, in its very text."""

import ast
from collections.abc import Iterator

from tests.architecture.tree import Module, modules, within

CLOCK = {"now", "utcnow", "today"}


def _engine() -> list[Module]:
    return [module for module in modules() if within(module.name, "fakturo.engine")]


def _impurities(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield node.lineno, "a coroutine"
        elif isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield node.lineno, f"the float {node.value}"
        elif isinstance(node, ast.Name) and node.id in {"float", "print", "open", "input"}:
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and node.attr in CLOCK:
            yield node.lineno, f"the clock (.{node.attr})"


def test_the_engine_is_pure() -> None:
    found = [f"{m.where}:{line}: {what}" for m in _engine() for line, what in _impurities(m.tree)]
    assert found == []


def test_the_check_sees_an_impurity() -> None:
    tree = ast.parse("import datetime\nasync def f(): return 0.5\nprint(datetime.datetime.now(), float('1'))")
    assert {what for _, what in _impurities(tree)} == {
        "a coroutine",
        "the float 0.5",
        "print",
        "the clock (.now)",
        "float",
    }


def test_only_the_clock_driver_and_measuring_code_ask_what_time_it_is() -> None:
    """Event time decides; `datetime.now` is for the driver of time and for the operators' surface."""
    allowed = ("producers/clock.py", "cli/", "consumers/runtime/")
    found = [
        f"{module.where}:{node.lineno}"
        for module in modules()
        if not module.where.startswith(allowed)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr in CLOCK
    ]
    assert found == []
