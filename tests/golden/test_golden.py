"""Each golden case gives the same files to the byte, and the amounts in them are those of worked_out.py."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.golden.cases import HERE, UNTIL, expected_of, run_case
from tests.golden.worked_out import BALANCES, DOCUMENTS, LIVES, OFF, REASONS, Document

ON_PARTS_OF_ITS_OWN = "late_and_repeated"

ISSUED = ("fakturo.invoice.finalized.v1", "fakturo.credit_note.issued.v1")
LATER = {f"fakturo.invoice.{status}.v1": status for status in ("paid", "voided", "uncollectible")}


@pytest.mark.parametrize("case", UNTIL)
def test_a_replay_gives_the_golden_files_to_the_byte(
    case: str, kafka_bootstrap: str, database_server: str, tmp_path: Path
) -> None:
    """On given parts (prefix and database of its own) and on embedded ones: neither leaves a trace in the files."""
    given = {"FAKTURO_KAFKA": kafka_bootstrap, "DATABASE_URL": database_server}
    found = run_case(case, tmp_path / "found", {} if case == ON_PARTS_OF_ITS_OWN else given)
    expected = expected_of(case)
    assert list(found) == list(expected)
    for name, content in found.items():
        assert content.decode().splitlines() == expected[name].decode().splitlines(), f"{case}/{name}"


@pytest.mark.parametrize("case", UNTIL)
def test_the_golden_invoices_are_those_worked_out_by_hand(case: str) -> None:
    assert [_document(data) for data in _issued(case)] == DOCUMENTS[case]


@pytest.mark.parametrize("case", OFF)
def test_the_golden_discounts_and_credit_are_those_worked_out_by_hand(case: str) -> None:
    found = {
        f"{data['account']} {data['issue_date']}": (
            sum(one["amount_minor"] for one in data["discounts"]),
            data["credits_applied_minor"],
        )
        for data in _issued(case)
    }
    assert found == OFF[case]


@pytest.mark.parametrize("case", UNTIL)
def test_the_golden_invoices_live_as_they_should(case: str) -> None:
    events = [line["value"] for line in _lines(case, "billing.invoices")]
    found = [(event["subject"], LATER[event["type"]]) for event in events if event["type"] in LATER]
    assert found == LIVES.get(case, [])


def test_what_is_issued_again_names_the_void_invoice() -> None:
    void, again = (data for data in _issued("life_of_an_invoice") if data["account"] == "A-200")
    assert (again["reissues"], again["customer"]["name"]) == (void["invoice_id"], "Havn Holding A/S")


@pytest.mark.parametrize("case", UNTIL)
def test_the_golden_balances_are_those_worked_out_by_hand(case: str) -> None:
    books = json.loads((HERE / case / "expected" / "books.json").read_text())
    found = {f"{row['account_code']} {row['party'] or ''}".strip(): row["amount_minor"] for row in books}
    assert found == BALANCES[case]
    assert sum(found.values()) == 0


@pytest.mark.parametrize("case", UNTIL)
def test_the_golden_dead_letters_have_their_reasons_in_the_order_they_came(case: str) -> None:
    found = {
        path.name.removesuffix(".dlq.jsonl"): [line["headers"]["fakturo-dlq-reason"] for line in _read(path)]
        for path in sorted((HERE / case / "expected").glob("*.dlq.jsonl"))
    }
    assert found == REASONS.get(case, {})


def _issued(case: str) -> list[dict[str, Any]]:
    """Return the invoices and credit notes of a case as they were issued."""
    events = [line["value"] for line in _lines(case, "billing.invoices")]
    return [event["data"] for event in events if event["type"] in ISSUED]


def _document(data: dict[str, Any]) -> Document:
    lines = [
        (line["product_code"], line["quantity"].removesuffix(".0"), line["amount_minor"]) for line in data["lines"]
    ]
    amounts = (data["subtotal_minor"], data["tax_minor"], data["total_minor"])
    return data["account"], data["revision"], data["period"]["start"], *amounts, lines


def _lines(case: str, topic: str) -> list[dict[str, Any]]:
    return _read(HERE / case / "expected" / f"{topic}.jsonl")


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
