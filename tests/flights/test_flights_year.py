"""The whole year, by the command that a newcomer types: every invoice equals the oracle's, to the cent."""

import json
import subprocess
import sys
from decimal import Decimal
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the report of `fakturo demo` in a home of its own."""
    folder = tmp_path_factory.mktemp("year")
    file = folder / "report.json"
    command = [sys.executable, "-m", "fakturo.cli.main", "demo", "--home", str(folder / "home"), "--report", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def expected() -> Any:
    """Return the oracle's invoices: (carrier, month) -> cents by line and total."""
    spec = spec_from_file_location("flights_oracle", Path(__file__).with_name("oracle.py"))
    assert spec is not None and spec.loader is not None
    oracle = module_from_spec(spec)
    spec.loader.exec_module(oracle)
    return oracle.invoices()


def test_there_is_one_invoice_an_airline_and_month(report: Any, expected: Any) -> None:
    found = [(invoice["account"], invoice["period_start"]) for invoice in report["invoices"]]
    assert sorted(found) == sorted((carrier, f"2013-{month:02}-01") for carrier, month in expected)
    assert len(found) == 192


def test_every_invoice_equals_the_computation_from_the_data_set_to_the_cent(report: Any, expected: Any) -> None:
    for invoice in report["invoices"]:
        wanted = expected[invoice["account"], int(invoice["period_start"][5:7])]
        lines = {product: cents(invoice["lines"].get(product, "0.00")) for product in wanted if product.isupper()}
        totals = {name: cents(invoice[name]) for name in ("subtotal", "tax", "total")}
        assert {**lines, **totals} == wanted, (invoice["account"], invoice["period_start"])
        assert invoice["currency"] == "USD"


def test_every_flight_is_in_the_book_once_and_nothing_was_dead_lettered(report: Any) -> None:
    assert report["usage_events"] == 336_776
    assert report["dead_letters"] == 0
    # Contracts came out of a Salesforce org; what they were billed went back into it, to the cent.
    total_minor = sum(round(Decimal(invoice["total"]) * 100) for invoice in report["invoices"])
    assert report["salesforce"]["invoices"] == 192
    assert report["salesforce"]["accounts"] == 16
    assert Decimal(report["salesforce"]["total"]) * 100 == total_minor


def test_the_ledger_is_in_balance_and_has_every_invoice_and_payment(report: Any) -> None:
    # 192 invoices; 12 payments of each airline, but OO never pays and YV pays each invoice in two parts.
    assert report["ledger"] == {"journals": 192 + 14 * 12 + 2 * 12, "imbalance_minor": 0}


def test_verify_finds_no_difference(report: Any) -> None:
    assert report["verify"]["differences"] == 0
    assert report["verify"]["checked"] > 192 * 5 * 3


def cents(text: str) -> int:
    return int(Decimal(text).scaleb(2))
