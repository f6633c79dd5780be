"""The period of an item that is billed next: from its first day on, one after the other, until it ends."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from msgspec import structs

from fakturo.engine.periods import Period
from fakturo.engine.schedule import begun_earlier, next_item_period, version_at
from fakturo.schemas.events.contracts import AccountVersion, ItemTax, ItemTerms, SubscriptionItem

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def version(timezone: str, effective_at: datetime = EPOCH) -> AccountVersion:
    return AccountVersion(
        effective_at=effective_at, recorded_at=EPOCH, name="A", timezone=timezone, terms_days=30, currency="EUR"
    )


def item(start_on: date, end_on: date | None = None) -> SubscriptionItem:
    return SubscriptionItem(
        subscription_item="i",
        product_code="P",
        product_name="P",
        billing="arrears",
        service_start_on=start_on,
        service_end_on=end_on,
        terms=(ItemTerms(effective_from=start_on, quantity=Decimal(1)),),
        prices=(),
        tax=ItemTax(category="standard", rate_percent=Decimal(20)),
    )


def test_the_first_period_is_the_local_month_that_holds_the_first_day() -> None:
    period = next_item_period(item(date(2026, 3, 15)), [version("America/New_York")], None, None)
    assert period is not None
    assert period.start_at == datetime(2026, 3, 1, 5, tzinfo=UTC)
    assert period.end_at == datetime(2026, 4, 1, 4, tzinfo=UTC)  # daylight saving time began on 8 March


@pytest.mark.parametrize(
    ("end_on", "months"), [(date(2026, 3, 1), 2), (date(2026, 3, 2), 3), (date(2026, 2, 28), 2), (date(2026, 1, 9), 1)]
)
def test_an_item_has_a_period_for_every_month_in_which_it_is_in_service(end_on: date, months: int) -> None:
    done_at, count = None, 0
    while period := next_item_period(item(date(2026, 1, 5), end_on), [version("UTC")], done_at, None):
        done_at, count = period.end_at, count + 1
    assert count == months


def test_no_period_opens_on_or_after_the_last_day_of_billing() -> None:
    versions, start = [version("America/New_York")], item(date(2026, 1, 1))
    february_at = datetime(2026, 2, 1, 5, tzinfo=UTC)
    assert next_item_period(start, versions, february_at, date(2026, 2, 1)) is None
    assert next_item_period(start, versions, february_at, date(2026, 2, 2)) is not None


@pytest.mark.parametrize("zones", [("UTC", "Asia/Tokyo"), ("UTC", "America/New_York"), ("Asia/Tokyo", "UTC")])
def test_periods_touch_where_the_account_moves_to_another_zone(zones: tuple[str, str]) -> None:
    versions = [version(zones[0]), version(zones[1], datetime(2026, 2, 10, tzinfo=UTC))]
    ends = []
    done_at: datetime | None = None
    for _ in range(4):
        period = next_item_period(item(date(2026, 1, 1)), versions, done_at, None)
        assert period is not None
        assert done_at is None or period.start_at == done_at
        assert timedelta() < period.end_at - period.start_at <= timedelta(days=32)
        done_at = period.end_at
        ends.append(done_at)
    assert ends[-1] >= datetime(2026, 3, 30, tzinfo=UTC)


def test_an_account_is_what_its_newest_version_by_then_says() -> None:
    first, second = version("UTC"), version("Asia/Tokyo", datetime(2026, 2, 1, tzinfo=UTC))
    assert version_at([first, second], datetime(2025, 1, 1, tzinfo=UTC)) is first
    assert version_at([first, second], datetime(2026, 2, 1, tzinfo=UTC) - timedelta(seconds=1)) is first
    assert version_at([first, second], datetime(2026, 2, 1, tzinfo=UTC)) is second


@pytest.mark.parametrize(
    ("start_on", "before_at", "from_on"),
    [
        (date(2026, 2, 15), None, 15),  # as it was known
        (date(2026, 2, 10), None, 10),
        (date(2026, 1, 20), None, 1),  # January is a period of its own
        (date(2026, 1, 20), datetime(2026, 2, 1, tzinfo=UTC), 1),  # which was billed since
        (date(2026, 2, 10), datetime(2026, 2, 15, tzinfo=UTC), 15),  # what lies before was billed by itself
        (date(2026, 2, 20), None, 15),  # a later start shortens the slice, not the period
    ],
)
def test_the_first_billed_period_begins_where_its_service_turns_out_to_have_begun(
    start_on: date, before_at: datetime | None, from_on: int
) -> None:
    seat = structs.replace(item(start_on), billing="advance")
    billed = Period(start_at=datetime(2026, 2, 15, tzinfo=UTC), end_at=datetime(2026, 3, 1, tzinfo=UTC))
    found = begun_earlier(seat, [version("UTC")], billed, before_at)
    assert found == Period(start_at=datetime(2026, 2, from_on, tzinfo=UTC), end_at=billed.end_at)
