"""The engine computes: no float, no coroutine, no print, no look at the clock, in its very text.

Floats    come in by literals, by `float` and what gives one (`math`, `statistics`, `total_seconds`, `timestamp`), and
          by dividing one int by another. A division is let pass where its text shows a Decimal or a Fraction: a
          parameter, a field or a function of the engine that is annotated so, or something computed from one.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.tree import Module, modules, within

CLOCK = {"now", "utcnow", "today"}
FLOAT_NAMES = {"float", "complex"}
FLOAT_ATTRIBUTES = {
    "total_seconds",
    "timestamp",
    "from_float",
    "truediv",
    "hex",
    "fromhex",
    "is_integer",
    "__truediv__",
}
FLOAT_MODULES = {"math", "cmath", "statistics", "random", "time", "array", "numpy", "struct"}
EXACT = ("Decimal", "Fraction")


def _engine() -> list[Module]:
    return [module for module in modules() if within(module.name, "fakturo.engine")]


def _impurities(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield node.lineno, "a coroutine"
        elif isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield node.lineno, f"the float {node.value}"
        elif isinstance(node, ast.Name) and node.id in FLOAT_NAMES | {"print", "open", "input"}:
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and node.attr in CLOCK:
            yield node.lineno, f"the clock (.{node.attr})"
        elif isinstance(node, ast.Attribute) and node.attr in FLOAT_ATTRIBUTES:
            yield node.lineno, f"a float (.{node.attr})"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for name in _imported(node) & FLOAT_MODULES:
                yield node.lineno, f"floats ({name})"


def _imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return {name.split(".")[0] for name in names}


def _is_exact(annotation: ast.expr | None) -> bool:
    return annotation is not None and ast.unparse(annotation).split(" | ")[0].strip("'\"") in EXACT


def _declared(trees: list[ast.Module]) -> set[str]:
    """Return the names of fields, properties and functions that are annotated as exact anywhere in `trees`."""
    found: set[str] = set(EXACT)
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef) and _is_exact(node.returns):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and _is_exact(node.annotation):
            found.add(node.target.id)
    return found


def _exact(node: ast.expr, names: set[str], declared: set[str]) -> bool:
    """Return whether the text of `node` shows that it is a Decimal or a Fraction."""
    match node:
        case ast.Name(id=name):
            return name in names
        case ast.Attribute(attr=name):
            return name in declared
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name in declared or (name == "abs" and any(_exact(one, names, declared) for one in node.args))
        case ast.UnaryOp(operand=operand):
            return _exact(operand, names, declared)
        case ast.BinOp(left=left, right=right):
            return _exact(left, names, declared) or _exact(right, names, declared)
    return False


def _inexact_divisions(tree: ast.Module, declared: set[str]) -> Iterator[tuple[int, str]]:
    constants = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and _exact(node.value, set(), declared)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    seen: set[ast.AST] = set()
    for scope in [*reversed(functions), tree]:  # the inner functions first
        names = constants | _exact_names(scope, declared)
        for node in ast.walk(scope):
            if node in seen or not _is_division(node):
                continue
            seen.add(node)
            sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
            if not any(_exact(side, names, declared) for side in sides):
                yield node.lineno, f"a division of what may be ints: {ast.unparse(node)}"


def _is_division(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)


def _exact_names(scope: ast.AST, declared: set[str]) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(scope):  # outer statements come before inner ones
        if isinstance(node, ast.arg) and _is_exact(node.annotation):
            names.add(node.arg)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and _is_exact(node.annotation):
            names.add(node.target.id)
        elif isinstance(node, ast.Assign):
            names |= set(_assigned(node, names, declared))
    return names


def _assigned(node: ast.Assign, names: set[str], declared: set[str]) -> Iterator[str]:
    for target in node.targets:
        pairs = [(target, node.value)]
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = list(zip(target.elts, node.value.elts, strict=True))
        for name, value in pairs:
            if isinstance(name, ast.Name) and (_exact(value, names, declared) or _is_constant(value)):
                yield name.id


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in {"ZERO", "ONE"}


def test_the_engine_is_pure() -> None:
    found = [f"{m.where}:{line}: {what}" for m in _engine() for line, what in _impurities(m.tree)]
    assert found == []


def test_the_engine_divides_no_int_by_an_int() -> None:
    declared = _declared([module.tree for module in _engine()])
    found = [f"{m.where}:{line}: {what}" for m in _engine() for line, what in _inexact_divisions(m.tree, declared)]
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


@pytest.mark.parametrize(
    "text",
    [
        "import math",
        "from statistics import mean",
        "import time as t",
        "def f(x: float) -> None: ...",
        "Decimal(0.1)",
        "Decimal.from_float(x)",
        "a = 1j",
        "(end - start).total_seconds()",
        "at.timestamp()",
        "operator.truediv(1, 2)",
        "map(float, values)",
        "x = 1e3",
    ],
)
def test_the_check_sees_where_floats_come_from(text: str) -> None:
    assert list(_impurities(ast.parse(text)))


@pytest.mark.parametrize(
    "text",
    [
        "share = days / 31",
        "def f(a: int, b: int) -> int:\n    return a / b",
        "def f(a: int) -> None:\n    a /= 2",
        "total = sum(values) / len(values)",
        "rate = 1 / 3",
        "def f(minor: int) -> Decimal:\n    return Decimal(minor / 100)",
    ],
)
def test_the_check_sees_a_division_of_ints(text: str) -> None:
    tree = ast.parse(text)
    assert list(_inexact_divisions(tree, _declared([tree])))


@pytest.mark.parametrize(
    "text",
    [
        "def f(amount: Decimal) -> Decimal:\n    return amount / 100",
        "def f(minor: int) -> Decimal:\n    return Decimal(minor) * 3 / 100",
        "HUNDRED = Decimal(100)\nshare = 5 / HUNDRED",
        "class A:\n    rate: Decimal\ndef f(a: A) -> Decimal:\n    return 2 * a.rate / 100",
        "def g() -> Fraction: ...\ndef f() -> Fraction:\n    part = g()\n    return part / 2",
        "def f(total: int) -> int:\n    return total // 2",
    ],
)
def test_the_check_lets_exact_division_pass(text: str) -> None:
    tree = ast.parse(text)
    assert list(_inexact_divisions(tree, _declared([tree]))) == []


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
