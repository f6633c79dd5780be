"""Each golden case gives the same files to the byte, and the amounts in them are those worked out by hand here."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.golden.cases import HERE, UNTIL, expected_of, run_case

ON_PARTS_OF_ITS_OWN = "late_and_repeated"

Invoice = tuple[str, int, str, int, int, int, list[tuple[str, str, int]]]

INVOICES: dict[str, list[Invoice]] = {
    # March from 28 February 23:00 UTC to 31 March 22:00 UTC: 60 + 150.5 + 39.5 calls; 100 at 2.00 and 150 at 1.50.
    # 5 seats for 17 of 31 days: 5 x 300 x 17/31 = 822.5806...; 25 % of 1,247.58 is 311.895, so 311.90.
    "one_month_in_copenhagen": [
        (
            "A-100", 1, "2026-02-28T23:00:00Z", 1_247_58, 311_90, 1_559_48,
            [("CALLS", "250", 425_00), ("SEAT", "5", 822_58)],
        ),
        ("A-200", 1, "2026-02-28T23:00:00Z", 600_00, 150_00, 750_00, [("CALLS", "0", 0), ("SEAT", "2", 600_00)]),
    ],
    # 40 + 80 + 30 calls in May, two of them before the contract; then 3 seats for 2 of 31 days, known in June:
    # 3 x 300 x 2/31 = 58.0645..., tax 14.515. A-200: contract in June, from 15 May on: 10 calls in May, 25 in June.
    "contract_after_usage": [
        ("A-100", 1, "2026-04-30T22:00:00Z", 275_00, 68_75, 343_75, [("CALLS", "150", 275_00)]),
        ("A-100", 2, "2026-04-30T22:00:00Z", 58_06, 14_52, 72_58, [("SEAT", "3", 58_06)]),
        ("A-100", 1, "2026-05-31T22:00:00Z", 0, 0, 0, [("CALLS", "0", 0)]),
        ("A-200", 1, "2026-04-30T22:00:00Z", 20_00, 5_00, 25_00, [("CALLS", "10", 20_00)]),
        ("A-200", 1, "2026-05-31T22:00:00Z", 50_00, 12_50, 62_50, [("CALLS", "25", 50_00)]),
    ],
    # 20 (once, though it came four times) + 5; the 900 came on 2 July, after the close.
    "late_and_repeated": [
        ("A-100", 1, "2026-05-31T22:00:00Z", 50_00, 12_50, 62_50, [("CALLS", "25", 50_00)]),
    ],
    # Thirteen good events of 10 calls: 100 at 2.00 and 30 at 1.50.
    "bad_input": [
        ("A-100", 1, "2026-05-31T22:00:00Z", 245_00, 61_25, 306_25, [("CALLS", "130", 245_00)]),
    ],
}  # fmt: skip

BALANCES: dict[str, dict[str, int]] = {
    # Paid: 1,559.48 + 1,000.00, of which 250.00 is more than was owed.
    "one_month_in_copenhagen": {
        "1020": 2_559_48, "1200 A-100": 0, "1200 A-200": 0, "2100": -461_90, "2300 A-200": -250_00, "4000": -1_847_58,
    },
    "contract_after_usage": {"1200 A-100": 416_33, "1200 A-200": 87_50, "2100": -100_77, "4000": -403_06},
    "late_and_repeated": {"1200 A-100": 62_50, "2100": -12_50, "4000": -50_00},
    "bad_input": {"1020": 150_00, "1200 A-100": 156_25, "2100": -61_25, "4000": -245_00},
}  # fmt: skip

REASONS: dict[str, dict[str, list[str]]] = {
    "late_and_repeated": {"billing.usage": ["identity_conflict"]},
    "bad_input": {
        "sf.cdc.Account": ["malformed_json"],
        "billing.usage": [
            "malformed_json",  # cut off
            "malformed_json",  # no text
            "unknown_shape",  # no source
            "unknown_shape",  # data is a list
            "float_amount",
            "invalid_time",  # no zone
            "malformed_json",  # the literal NaN is no JSON
            "not_a_number",  # the text "NaN"
            "invalid_time",  # "yesterday"
            "value_missing",
            "identity_conflict",
            "unknown_shape",  # no value at all
        ],
        "billing.payments": ["float_amount", "unknown_currency", "invalid_amount", "unknown_type"],
    },
}


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
    assert [_invoice(line["value"]["data"]) for line in _lines(case, "billing.invoices")] == INVOICES[case]


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


def _invoice(data: dict[str, Any]) -> Invoice:
    lines = [
        (line["product_code"], line["quantity"].removesuffix(".0"), line["amount_minor"]) for line in data["lines"]
    ]
    amounts = (data["subtotal_minor"], data["tax_minor"], data["total_minor"])
    return data["account"], data["revision"], data["period"]["start"], *amounts, lines


def _lines(case: str, topic: str) -> list[dict[str, Any]]:
    return _read(HERE / case / "expected" / f"{topic}.jsonl")


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
