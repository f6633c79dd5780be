"""What is asked of invoicing while the storm blows: credit, coupons, and the life of one invoice, at fixed times.

Place     [this] -> producers/simulate/year -> `billing.requests`.
Chosen    so that no two accounts compete for one thing: who comes first of two would differ from run to run. A budget
          that runs out has one holder, one that two share does not run out; invoices change their state only of SkyWest
          (OO), which pays nothing, for what is overpaid would go to whichever invoice comes next. All is about January,
          so it is the same with fewer flights.
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

from fakturo.engine.invoicing import invoice_id_of
from fakturo.engine.periods import month_period
from fakturo.producers.simulate.flights_contracts import TIMEZONE, change_lines
from fakturo.schemas.envelope import Event
from fakturo.schemas.events.contracts import Coupon
from fakturo.schemas.events.requests import (
    COUPON_GRANT_REQUESTED,
    CREDIT_GRANT_REQUESTED,
    CREDIT_NOTE_REQUESTED,
    INVOICE_VOID_REQUESTED,
    INVOICE_WRITE_OFF_REQUESTED,
    CouponGrant,
    CreditedLine,
    CreditGrant,
    CreditNoteRequest,
    InvoiceRequest,
)

JANUARY_STARTS_AT = month_period(date(2013, 1, 1), TIMEZONE).start_at
NEVER_PAYS = "OO"


def requests() -> list[Event[Any]]:
    """Return the requests by time."""
    return [*_credit(), *_coupons(), *_life()]


def _credit() -> Iterator[Event[Any]]:
    at = datetime(2013, 1, 10, 15, tzinfo=UTC)
    for account, kind, low in (("B6", "prepaid", None), ("US", "prepaid", "15000"), ("UA", "promotional", None)):
        grant = CreditGrant(
            grant_id=f"grant-{account}", account=account, currency="USD", amount="20000", kind=kind, low_balance=low
        )
        yield _event(CREDIT_GRANT_REQUESTED, grant.grant_id, at, grant)


def _coupons() -> Iterator[Event[Any]]:
    at = datetime(2013, 1, 11, 15, tzinfo=UTC)
    shared = _coupon("SHARED", Decimal(2), 100_000_000)
    scarce = _coupon("SCARCE", Decimal(10), 2_500_000)
    for account, coupon in (("AA", shared), ("DL", shared), ("EV", scarce)):
        grant = CouponGrant(grant_id=f"coupon-{account}", account=account, coupon=coupon)
        yield _event(COUPON_GRANT_REQUESTED, grant.grant_id, at, grant)


def _coupon(code: str, percent: Decimal, budget_minor: int) -> Coupon:
    return Coupon(
        code=code,
        description=code.title(),
        percent=percent,
        currency="USD",
        duration="forever",
        budget_minor=budget_minor,
    )


def _life() -> Iterator[Event[Any]]:
    """Void January's invoice and issue it again; credit a part of that one; give up the rest."""
    first, again = (invoice_id_of(NEVER_PAYS, JANUARY_STARTS_AT, revision) for revision in (1, 2))
    void = InvoiceRequest(request_id="void", account=NEVER_PAYS, invoice_id=first, reason="address", reissue=True)
    yield _event(INVOICE_VOID_REQUESTED, "void", datetime(2013, 2, 5, 15, tzinfo=UTC), void)
    note = CreditNoteRequest(
        request_id="note",
        account=NEVER_PAYS,
        invoice_id=again,
        reason="a gate was closed",
        lines=(CreditedLine(line_id=_line_id(again, "MOVEMENT"), amount="1234.56"),),
    )
    yield _event(CREDIT_NOTE_REQUESTED, "note", datetime(2013, 2, 20, 15, tzinfo=UTC), note)
    given_up = InvoiceRequest(request_id="write-off", account=NEVER_PAYS, invoice_id=again, reason="bankrupt")
    yield _event(INVOICE_WRITE_OFF_REQUESTED, "write-off", datetime(2013, 3, 10, 15, tzinfo=UTC), given_up)


def _line_id(invoice_id: str, product: str) -> str:
    """Return the id of January's line of a product on the second bill of it: ids derive from what a line is of."""
    records = [json.loads(line.value) for line in change_lines()]
    named = {record["values"].get("AccountNumber"): record["recordId"] for record in records}
    product_id = next(record["recordId"] for record in records if record["values"].get("ProductCode") == product)
    order_id = next(record["recordId"] for record in records if record["values"].get("AccountId") == named[NEVER_PAYS])
    item = next(
        record["recordId"]
        for record in records
        if (record["values"].get("OrderId"), record["values"].get("Product2Id")) == (order_id, product_id)
    )
    parts = (invoice_id, item, JANUARY_STARTS_AT.isoformat(), "2")
    return "lin_" + sha256("\n".join(parts).encode()).hexdigest()[:26]


def _event(event_type: str, name: str, at: datetime, data: Any) -> Event[Any]:
    return Event(
        specversion="1.0",
        id=name,
        source="storm/desk",
        type=event_type,
        subject=data.account,
        time=at,
        datacontenttype="application/json",
        data=data,
    )
