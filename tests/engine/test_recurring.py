"""Recurring revenue by hand: prices of a contract divided by the months of its period, from the day it holds."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.recurring import monthly_minor, next_renewal_on, recurring_steps
from fakturo.schemas.events.contracts import (
    ItemTax,
    ItemTerms,
    MeterDefinition,
    Pause,
    PriceVersion,
    Subscription,
    SubscriptionItem,
)

SEAT = {"model": "per_unit", "unit_amount": "10", "licensed": True}
START = date(2026, 1, 1)


def terms(on: date, quantity: str, **given: Any) -> ItemTerms:
    return ItemTerms(effective_from=on, quantity=Decimal(quantity), **given)


def priced(on: date, price: dict[str, Any] = SEAT) -> PriceVersion:
    return PriceVersion(effective_from=on, price=price, hash=f"{price}")


def item(**given: Any) -> SubscriptionItem:
    fields: dict[str, Any] = {
        "subscription_item": "i1",
        "product_code": "seats",
        "product_name": "Seats",
        "billing": "advance",
        "service_start_on": START,
        "service_end_on": None,
        "terms": (terms(START, "5"),),
        "prices": (priced(START),),
        "tax": ItemTax(category="S", rate_percent=Decimal(0)),
        **given,
    }
    return SubscriptionItem(**fields)


def steps(*items: SubscriptionItem) -> dict[date, int]:
    return recurring_steps(
        Subscription(
            subscription_id="s1",
            account="UA",
            currency="EUR",
            started_on=START,
            ended_on=None,
            items=items,
            recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
    )


def test_five_seats_at_10_are_50_a_month_until_the_service_ends() -> None:
    assert steps(item(service_end_on=date(2027, 1, 1))) == {START: 5_000, date(2027, 1, 1): -5_000}


def test_a_yearly_price_counts_a_twelfth_rounded_once() -> None:
    # 5 x 10 / 12 = 4.1666... -> 4.17
    assert steps(item(billing_months=12)) == {START: 417}


def test_more_seats_and_a_discount_count_from_their_own_days() -> None:
    changed = item(
        terms=(
            terms(START, "5"),
            terms(date(2026, 3, 10), "8"),
            terms(date(2026, 5, 1), "8", discount_percent=Decimal(25)),
        )
    )
    # 50, then 80, then 80 less a quarter = 60
    assert steps(changed) == {START: 5_000, date(2026, 3, 10): 3_000, date(2026, 5, 1): -2_000}


def test_a_new_price_for_the_next_period_waits_for_it() -> None:
    prices = (priced(START), priced(date(2026, 3, 10), {**SEAT, "unit_amount": "12"}))
    assert steps(item(prices=prices)) == {START: 5_000, date(2026, 3, 10): 1_000}
    assert steps(item(prices=prices, price_change="next_period")) == {START: 5_000, date(2026, 4, 1): 1_000}


def test_a_trial_and_a_pause_cost_nothing() -> None:
    paused = item(trial_until_on=date(2026, 2, 1), pauses=(Pause(start_on=date(2026, 6, 1), end_on=date(2026, 7, 1)),))
    assert steps(paused) == {date(2026, 2, 1): 5_000, date(2026, 6, 1): -5_000, date(2026, 7, 1): 5_000}


def test_usage_and_one_time_charges_are_not_recurring() -> None:
    meter = MeterDefinition(code="m", event_type="e", aggregation="count")
    assert steps(item(meter=meter), item(billing_months=0)) == {}


def test_a_term_renews_itself_or_ends() -> None:
    assert next_renewal_on(date(2026, 1, 31), None, 1, date(2026, 2, 1)) == date(2026, 2, 28)
    assert next_renewal_on(date(2026, 1, 31), None, 12, date(2027, 1, 31)) == date(2028, 1, 31)
    assert next_renewal_on(date(2026, 1, 1), date(2026, 7, 1), None, date(2026, 6, 30)) == date(2026, 7, 1)
    assert next_renewal_on(date(2026, 1, 1), date(2026, 7, 1), None, date(2026, 7, 1)) is None
    assert next_renewal_on(date(2026, 1, 1), None, None, date(2026, 7, 1)) is None
    assert next_renewal_on(date(2027, 1, 1), None, 12, date(2026, 7, 1)) == date(2028, 1, 1)


@given(
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 50)), max_size=5),
    st.integers(1, 700),
    st.integers(0, 700),
)
def test_the_steps_up_to_a_day_add_up_to_what_the_item_costs_on_it(
    changes: list[tuple[int, int]], length: int, offset: int
) -> None:
    days = dict(sorted(changes))
    found = item(
        service_end_on=date.fromordinal(START.toordinal() + length),
        terms=(
            terms(START, "5"),
            *(terms(date.fromordinal(START.toordinal() + day), str(seats)) for day, seats in days.items() if day),
        ),
    )
    on = date.fromordinal(START.toordinal() + offset)
    assert sum(amount for day, amount in steps(found).items() if day <= on) == monthly_minor(found, on, "EUR")
