"""Who pays when, as the flights case says."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from fakturo.producers.simulate.payments import payments_of
from fakturo.schemas.codec import decode_event, encode
from fakturo.schemas.events.invoices import Invoice, Party
from fakturo.schemas.events.usage import PeriodBounds


def _invoice(account: str, due_minor: int, due: date = date(2013, 3, 3)) -> Invoice:
    at = datetime.fromisoformat("2013-02-01T05:00:00Z")
    values: dict[str, Any] = {
        "invoice_id": f"{account}/2013-01",
        "number": "INV-1",
        "account": account,
        "customer": Party(name=account),
        "seller": Party(name="Airports"),
        "currency": "USD",
        "period": PeriodBounds(start=at, end=at),
        "issue_date": date(2013, 2, 1),
        "due_date": due,
        "payment_terms": "30 days",
        "lines": (),
        "discounts": (),
        "taxes": (),
        "subtotal_minor": due_minor,
        "tax_minor": 0,
        "total_minor": due_minor,
        "credits_applied_minor": 0,
        "amount_due_minor": due_minor,
        "corrects": None,
        "price_versions": (),
    }
    return Invoice(**values)


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        ("AA", [("2013-03-03T17:00:00+00:00", "100.01")]),
        ("F9", [("2013-03-23T16:00:00+00:00", "100.01")]),  # noon is an hour earlier in UTC in summer time
        ("YV", [("2013-03-03T17:00:00+00:00", "50.00"), ("2013-04-12T16:00:00+00:00", "50.01")]),
        ("OO", []),
    ],
)
def test_each_airline_pays_in_its_own_way(account: str, expected: list[tuple[str, str]]) -> None:
    payments = payments_of(_invoice(account, 10_001))
    assert [(payment.time.isoformat(), payment.data.amount) for payment in payments] == expected
    assert sum((Decimal(payment.data.amount) for payment in payments), Decimal(0)) in (Decimal("100.01"), 0)


def test_a_payment_names_its_invoice_and_can_be_read_back() -> None:
    (payment,) = payments_of(_invoice("DL", 5))
    assert payment.data.amount == "0.05"
    assert (payment.data.invoice_id, payment.data.method) == ("DL/2013-01", "bank_transfer")
    read = decode_event(encode(payment))
    assert read.data == payment.data
    assert (read.type, read.subject, read.id) == ("fakturo.payment.received.v1", "DL", "DL/2013-01/payment/1")


def test_nothing_due_is_not_paid_and_a_single_cent_is_paid_once() -> None:
    assert payments_of(_invoice("AA", 0)) == []
    assert [payment.data.amount for payment in payments_of(_invoice("YV", 1))] == ["0.01"]
