"""A missing or wrong setting is one clear sentence on stderr and exit status 2, before anything is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = {"FAKTURO_KAFKA": "localhost:9092", "DATABASE_URL": "postgresql://me:secret@localhost:5432/books"}
BAD_CATALOG = """
currency: QQQ
meters: {calls: {aggregation: count}}
products:
  X: {name: x, billing: arrears, prices: [{effective_from: 2026-01-01, model: magic}]}
surplus: 1
"""


def _refused(arguments: list[str], environment: dict[str, str]) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FAKTURO_", "DATABASE_URL"))}
    done = subprocess.run(
        [sys.executable, "-m", "fakturo.cli.main", *arguments],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize("agent", ["usage", "relay", "clock"])
def test_what_is_missing_is_named_all_at_once(agent: str) -> None:
    said = _refused(["agent", agent], {})
    assert said == "fakturo: settings: FAKTURO_KAFKA is not set; DATABASE_URL is not set"


def test_the_bridge_names_what_it_misses_of_the_org_and_quotes_no_value() -> None:
    org = {"FAKTURO_SALESFORCE_CLIENT_SECRET": "planted-secret", "FAKTURO_SALESFORCE_LOGIN_URL": "ftp://planted-secret"}
    said = _refused(["agent", "salesforce"], GOOD | org)
    assert "FAKTURO_SALESFORCE_CLIENT_ID is not set" in said
    assert "FAKTURO_SALESFORCE_LOGIN_URL: must begin with https://" in said


def test_an_unknown_agent_is_answered_with_those_there_are() -> None:
    said = _refused(["agent", "billing"], GOOD)
    expected = "contracts, usage, invoicing, ledger, kpi, crm_sync, crm_feed, relay, clock, salesforce"
    assert said == f"fakturo: agent 'billing' is none of {expected}"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("FAKTURO_PARTITIONS", "many", "FAKTURO_PARTITIONS: Input should be a valid integer"),
        ("FAKTURO_GRACE_SECONDS", "-1", "FAKTURO_GRACE_SECONDS: Input should be greater than or equal to 0"),
        ("FAKTURO_BILLING_UNTIL", "soon", "FAKTURO_BILLING_UNTIL: Input should be a valid date"),
        ("FAKTURO_KAFKA", "not a server", "FAKTURO_KAFKA: 'not a server' is not host:port"),
        ("FAKTURO_KAFKA", "one:9092,two", "FAKTURO_KAFKA: 'two' is not host:port"),
        ("DATABASE_URL", "mysql://me:secret@localhost/books", "DATABASE_URL: must begin with postgresql://"),
        ("DATABASE_URL", "postgresql://me:secret@localhost:port/books", "DATABASE_URL: its port is not a number"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_wrong_with_it(name: str, value: str, sentence: str) -> None:
    said = _refused(["agent", "usage"], {**GOOD, name: value})
    assert said.startswith(f"fakturo: settings: {sentence}")
    assert "\n" not in said


def test_a_catalog_that_is_not_there_is_named() -> None:
    said = _refused(["agent", "contracts"], {**GOOD, "FAKTURO_CATALOG": "/no/such/prices.yaml"})
    assert said.startswith("fakturo: FAKTURO_CATALOG: /no/such/prices.yaml cannot be read")


@pytest.mark.parametrize("arguments", [["agent", "contracts"], ["replay", "INPUT", "--output", "OUT"]])
def test_every_fault_of_a_catalog_is_listed(arguments: list[str], tmp_path: Path) -> None:
    catalog, history = tmp_path / "prices.yaml", tmp_path / "history.jsonl"
    catalog.write_text(BAD_CATALOG)
    history.write_text("")
    paths = {"INPUT": str(history), "OUT": str(tmp_path / "out")}
    parts = GOOD if arguments[0] == "agent" else {}
    said = _refused([paths.get(word, word) for word in arguments], {**parts, "FAKTURO_CATALOG": str(catalog)})
    for fault in ("currency_unknown", "meters.calls.event_type", "price_model_unknown", "surplus"):
        assert fault in said


def test_a_command_without_a_stack_says_what_to_run(tmp_path: Path) -> None:
    said = _refused(["invoices", "list", "--home", str(tmp_path)], {})
    assert said.endswith("run `fakturo up` or `fakturo demo` first, or set DATABASE_URL")
