"""When a subscription's next invoice falls due: cadences, advance and arrears, trials, pauses, ends, zones."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.next_invoice import next_bill_at
from fakturo.engine.schedule import bill_at, next_item_period
from fakturo.schemas.events.contracts import AccountVersion, ItemTax, Pause, SubscriptionItem

BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)


def account(zone: str = "UTC") -> tuple[AccountVersion, ...]:
    """Return an account in `zone`."""
    version = AccountVersion(
        effective_at=BEGINNING, recorded_at=BEGINNING, name="A", timezone=zone, terms_days=30, currency="EUR"
    )
    return (version,)


def item(**given_fields: Any) -> SubscriptionItem:
    """Return an item that is billed monthly in arrears since 15 January 2026."""
    told: dict[str, Any] = {
        "subscription_item": "i",
        "product_code": "P",
        "product_name": "P",
        "billing": "arrears",
        "service_start_on": date(2026, 1, 15),
        "service_end_on": None,
        "terms": (),
        "prices": (),
        "tax": ItemTax(category="standard", rate_percent=Decimal(0)),
    }
    return SubscriptionItem(**told | given_fields)


def utc(*parts: int) -> datetime:
    """Return an instant in UTC."""
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("fields", "after", "expected"),
    [
        # In arrears a calendar month is billed when the next one begins.
        ({}, utc(2026, 1, 20), utc(2026, 2, 1)),
        ({}, utc(2026, 2, 1), utc(2026, 3, 1)),
        ({}, utc(2034, 7, 4, 12), utc(2034, 8, 1)),
        # Before the service begins: the end of its first month.
        ({}, utc(2025, 6, 1), utc(2026, 2, 1)),
        # In advance: when the service begins, then at the start of each month.
        ({"billing": "advance"}, utc(2026, 1, 1), utc(2026, 1, 15)),
        ({"billing": "advance"}, utc(2026, 1, 15), utc(2026, 2, 1)),
        # A year from an anchor.
        ({"billing_months": 12, "anchor_on": date(2026, 1, 15)}, utc(2028, 3, 1), utc(2029, 1, 15)),
        # A charge that is made once.
        ({"billing_months": 0}, utc(2026, 1, 1), utc(2026, 1, 15)),
        ({"billing_months": 0}, utc(2026, 1, 15), None),
        # The last month of a service that ends is billed, and then nothing.
        ({"service_end_on": date(2026, 3, 10)}, utc(2026, 3, 5), utc(2026, 4, 1)),
        ({"service_end_on": date(2026, 3, 10)}, utc(2026, 4, 1), None),
        # A trial until 1 March: February has nothing to bill.
        ({"trial_until_on": date(2026, 3, 1)}, utc(2026, 1, 20), utc(2026, 4, 1)),
        # A pause of the whole of February and a half of March.
        ({"pauses": (Pause(start_on=date(2026, 2, 1), end_on=date(2026, 3, 16)),)}, utc(2026, 2, 1), utc(2026, 4, 1)),
        # A pause without end.
        ({"pauses": (Pause(start_on=date(2026, 2, 1)),)}, utc(2026, 2, 1), None),
    ],
)
def test_the_next_invoice_falls_due_with_the_next_period_that_has_something_to_charge(
    fields: dict[str, Any], after: datetime, expected: datetime | None
) -> None:
    assert next_bill_at([item(**fields)], account(), after) == expected


def test_the_earliest_of_several_items_counts() -> None:
    monthly, yearly = item(), item(billing_months=12, anchor_on=date(2026, 1, 15))
    assert next_bill_at([yearly, monthly], account(), utc(2026, 1, 20)) == utc(2026, 2, 1)
    assert next_bill_at([], account(), utc(2026, 1, 20)) is None


def test_months_begin_at_the_accounts_own_midnight() -> None:
    # Copenhagen is at UTC+1 in winter: 1 February begins at 23:00 on 31 January.
    assert next_bill_at([item()], account("Europe/Copenhagen"), utc(2026, 1, 20)) == utc(2026, 1, 31, 23)


@given(
    months=st.sampled_from([1, 3, 6, 12]),
    billing=st.sampled_from(["arrears", "advance"]),
    anchor=st.sampled_from([None, date(2026, 1, 31), date(2024, 2, 29)]),
    zone=st.sampled_from(["UTC", "America/New_York", "Pacific/Auckland"]),
    start=st.dates(date(2024, 1, 1), date(2027, 12, 31)),
    hours=st.integers(-10_000, 60_000),
)
def test_it_is_what_stepping_through_all_periods_finds(
    months: int, billing: str, anchor: date | None, zone: str, start: date, hours: int
) -> None:
    one = item(billing=billing, billing_months=months, anchor_on=anchor, service_start_on=start)
    after = utc(2026, 1, 1) + timedelta(hours=hours)
    period = next_item_period(one, account(zone), None, None)
    while period is not None and bill_at(one, period) <= after:
        period = next_item_period(one, account(zone), period.end_at, None)
    assert period is not None
    assert next_bill_at([one], account(zone), after) == bill_at(one, period)
