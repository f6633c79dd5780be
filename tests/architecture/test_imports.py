"""Who may import whom: the table of the layout, read from the sources without running them.

Source    docs: README, "Layout". A new rule is a new row here.
"""

import sys
from collections.abc import Iterable

import pytest

from tests.architecture.tree import Module, modules, within

AGENTS = (
    *("contracts", "usage", "invoicing", "ledger", "kpi"),
    *("collections", "documents", "crm_sync", "crm_feed"),
)
RUNTIME = "fakturo.consumers.runtime"
SCHEMAS = "fakturo.schemas"
ENGINE = "fakturo.engine"

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    SCHEMAS: (SCHEMAS,),
    ENGINE: (ENGINE, SCHEMAS),
    RUNTIME: (RUNTIME, SCHEMAS, "fakturo.migrations"),
    **{f"fakturo.consumers.{agent}": (f"fakturo.consumers.{agent}", ENGINE, SCHEMAS, RUNTIME) for agent in AGENTS},
    "fakturo.producers": ("fakturo.producers", SCHEMAS, RUNTIME),
    # What upstream systems import: these three need the contracts alone.
    "fakturo.producers.usage": ("fakturo.producers.usage_event", "fakturo.producers.publisher", SCHEMAS),
    "fakturo.producers.usage_event": (SCHEMAS,),
    "fakturo.producers.publisher": (SCHEMAS,),
    "fakturo.cli.verify": (
        "fakturo.cli.verify",
        "fakturo.cli.connect",
        "fakturo.cli.output",
        SCHEMAS,
        "fakturo.engine.prices",
    ),
    "fakturo.migrations": ("fakturo.migrations",),
}
"""Package -> what of Fakturo it and everything in it may import. The longest match of a module's name counts."""

THIRD_PARTY: dict[str, frozenset[str]] = {
    SCHEMAS: frozenset({"msgspec"}),
    # babel and stdnum compute from tables of their own, as zoneinfo does: no network, no clock.
    ENGINE: frozenset({"msgspec", "babel", "stdnum"}),
}
"""Packages that may use only these beyond the standard library."""

IMPURE = {
    *("asyncio", "concurrent", "ctypes", "glob", "http", "io", "json", "locale", "logging", "multiprocessing", "os"),
    *("pathlib", "pickle", "platform", "queue", "random", "secrets", "select", "selectors", "shutil", "signal"),
    *("socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid", "warnings"),
}
"""Of the standard library, what the engine may not touch: clock, I/O, concurrency, chance, the environment."""


def _rule(module: Module, table: Iterable[str]) -> str | None:
    # `verify` may be one file or several that begin with its name.
    name = "fakturo.cli.verify" if module.name.startswith("fakturo.cli.verify") else module.name
    matching = [package for package in table if within(name, package)]
    return max(matching, key=len, default=None)


def _ours(module: Module) -> list[str]:
    return sorted(name for name in module.imports if name.startswith("fakturo."))


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_each_package_imports_only_what_its_row_allows(package: str) -> None:
    allowed = MAY_IMPORT[package]
    wrong = [
        f"{module.where} imports {name}"
        for module in modules()
        if _rule(module, MAY_IMPORT) == package
        for name in _ours(module)
        if not any(within(name, one) or _is_verify(package, name) for one in allowed)
    ]
    assert wrong == []


def _is_verify(package: str, name: str) -> bool:
    return package == "fakturo.cli.verify" and name.startswith("fakturo.cli.verify")


def test_every_module_but_those_of_the_command_has_a_row() -> None:
    without = [module.where for module in modules() if _rule(module, MAY_IMPORT) is None]
    assert [where for where in without if not where.startswith("cli/") and where != "consumers/__init__.py"] == []


def test_agents_never_import_each_other() -> None:
    wrong = []
    for module in modules():
        agent = next((a for a in AGENTS if within(module.name, f"fakturo.consumers.{a}")), None)
        if agent is None:
            continue
        others = [f"fakturo.consumers.{a}" for a in AGENTS if a != agent]
        wrong += [f"{module.where} imports {n}" for n in _ours(module) if any(within(n, other) for other in others)]
    assert wrong == []


@pytest.mark.parametrize("package", sorted(THIRD_PARTY))
def test_inner_packages_use_the_standard_library_and_msgspec_alone(package: str) -> None:
    allowed = THIRD_PARTY[package] | sys.stdlib_module_names | {"fakturo"}
    wrong = [
        f"{module.where} imports {name}"
        for module in modules()
        if within(module.name, package)
        for name in sorted(module.imports)
        if name and name.split(".")[0] not in allowed
    ]
    assert wrong == []


def test_the_engine_has_no_clock_no_io_no_chance_and_no_concurrency() -> None:
    wrong = [
        f"{module.where} imports {name}"
        for module in modules()
        if within(module.name, ENGINE)
        for name in sorted(module.imports)
        if name.split(".")[0] in IMPURE
    ]
    assert wrong == []
