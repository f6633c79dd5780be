"""What of an item lies in a period, and in which slices."""

from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.contracts import active_period, item_slices, request_of
from fakturo.engine.periods import date_period, month_period
from fakturo.engine.prices import usage_of
from fakturo.engine.rating import rate_slices
from fakturo.schemas.events.contracts import ItemTax, ItemTerms, MeterDefinition, PriceVersion, SubscriptionItem

ZONE = "America/New_York"
RENT = {"model": "per_unit", "unit_amount": "15000", "licensed": True, "proration": "day"}
MOVEMENTS = MeterDefinition(code="movements", event_type="airport.departure", aggregation="count")
D = Decimal


def version(effective_from: date, price: dict[str, Any]) -> PriceVersion:
    return PriceVersion(effective_from=effective_from, price=price, hash=f"{effective_from} {price}")


def terms(effective_from: date, quantity: int = 1, **own: Any) -> ItemTerms:
    return ItemTerms(effective_from=effective_from, quantity=D(quantity), **own)


def item(
    start: date = date(2013, 1, 1),
    end: date | None = None,
    *,
    agreed: tuple[ItemTerms, ...] = (),
    prices: tuple[PriceVersion, ...] = (),
    meter: MeterDefinition | None = None,
) -> SubscriptionItem:
    return SubscriptionItem(
        subscription_item="802000000000001AAA",
        product_code="TERMINAL",
        product_name="Terminal rent",
        billing="arrears",
        service_start_on=start,
        service_end_on=end,
        terms=agreed or (terms(start),),
        prices=prices or (version(date(2013, 1, 1), RENT),),
        tax=ItemTax(category="standard", rate_percent=D("8.875")),
        meter=meter,
    )


def dates(start: date, end: date) -> Any:
    return date_period(start, end, ZONE)


SEPTEMBER = month_period(date(2013, 9, 1), ZONE)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (date(2013, 1, 1), None, SEPTEMBER),
        (date(2013, 9, 16), None, dates(date(2013, 9, 16), date(2013, 10, 1))),
        (date(2013, 1, 1), date(2013, 9, 16), dates(date(2013, 9, 1), date(2013, 9, 16))),
        (date(2013, 10, 1), None, None),
        (date(2013, 1, 1), date(2013, 9, 1), None),
    ],
)
def test_service_is_clipped_to_the_period_and_ends_before_its_end_date(
    start: date, end: date | None, expected: Any
) -> None:
    assert active_period(item(start, end), SEPTEMBER, ZONE) == expected


def test_a_new_price_from_a_date_splits_the_month_there() -> None:
    dearer = RENT | {"unit_amount": "18000"}
    two = item(prices=(version(date(2013, 1, 1), RENT), version(date(2013, 9, 11), dearer)))
    slices = item_slices(two, SEPTEMBER, ZONE, "USD")
    assert [part.period for part in slices] == [
        dates(date(2013, 9, 1), date(2013, 9, 11)),
        dates(date(2013, 9, 11), date(2013, 10, 1)),
    ]
    assert [part.final for part in slices] == [False, True]
    results = rate_slices([request_of(part, SEPTEMBER, ZONE, unit="terminals") for part in slices])
    # 15,000 x 10/30 and 18,000 x 20/30
    assert [str(result.amount) for result in results] == ["5000.00", "12000.00"]
    assert results[0].explanation == "1 terminals: 1 at 15,000.00, 10 of 30 days"


def test_a_change_on_the_first_day_or_on_the_day_after_the_last_splits_nothing() -> None:
    dearer = RENT | {"unit_amount": "18000"}
    starts = (version(date(2013, 1, 1), RENT), version(date(2013, 9, 1), dearer), version(date(2013, 10, 1), RENT))
    agreed = (terms(date(2013, 1, 1), 1), terms(date(2013, 9, 16), 2))
    (part,) = item_slices(item(end=date(2013, 9, 16), prices=starts, agreed=agreed), SEPTEMBER, ZONE, "USD")
    assert part.period == dates(date(2013, 9, 1), date(2013, 9, 16))
    assert (part.version.price["unit_amount"], part.licensed_quantity) == ("18000", 1)
    (whole,) = item_slices(item(prices=starts), SEPTEMBER, ZONE, "USD")
    assert whole.period == SEPTEMBER


def test_a_new_quantity_splits_a_licensed_item() -> None:
    grown = item(agreed=(terms(date(2013, 1, 1), 1), terms(date(2013, 9, 16), 2)))
    slices = item_slices(grown, SEPTEMBER, ZONE, "USD")
    assert [part.licensed_quantity for part in slices] == [1, 2]
    results = rate_slices([request_of(part, SEPTEMBER, ZONE) for part in slices])
    assert [str(result.amount) for result in results] == ["7500.00", "15000.00"]


def test_a_new_quantity_does_not_split_a_metered_item_but_a_new_discount_does() -> None:
    per_unit = (version(date(2013, 1, 1), {"model": "per_unit", "unit_amount": "2"}),)
    agreed = (
        terms(date(2013, 1, 1), 1),
        terms(date(2013, 9, 5), 7),
        terms(date(2013, 9, 16), 7, discount_percent=D(10)),
    )
    slices = item_slices(item(agreed=agreed, prices=per_unit, meter=MOVEMENTS), SEPTEMBER, ZONE, "USD")
    assert [part.period.days(ZONE) for part in slices] == [15, 15]
    assert [part.licensed_quantity for part in slices] == [None, None]
    results = rate_slices([request_of(part, SEPTEMBER, ZONE, usage_of(10)) for part in slices])
    assert [str(result.amount) for result in results] == ["20.00", "18.00"]


def test_an_own_unit_amount_replaces_the_list_price_of_a_licensed_item() -> None:
    own = item(agreed=(terms(date(2013, 1, 1), 2, own_unit_amount=D(14000), discount_percent=D(50)),))
    (part,) = item_slices(own, SEPTEMBER, ZONE, "USD")
    assert rate_slices([request_of(part, SEPTEMBER, ZONE)])[0].amount == 14000
    assert part.version.price["unit_amount"] == "15000"


def test_the_first_terms_hold_before_their_own_date_and_no_price_means_no_slice() -> None:
    late = item(agreed=(terms(date(2014, 1, 1), 3),), prices=(version(date(2013, 9, 21), RENT),))
    (part,) = item_slices(late, SEPTEMBER, ZONE, "USD")
    assert (part.licensed_quantity, part.period) == (3, dates(date(2013, 9, 21), date(2013, 10, 1)))


def test_an_item_out_of_service_has_no_slices() -> None:
    assert item_slices(item(date(2014, 1, 1)), SEPTEMBER, ZONE, "USD") == ()


days = st.dates(date(2013, 8, 1), date(2013, 11, 1))


@given(st.sets(days, max_size=4), st.sets(days, max_size=4), days, days)
def test_slices_touch_and_cover_the_service(prices: set[date], agreed: set[date], start: date, end: date) -> None:
    made = item(
        start,
        end,
        agreed=tuple(terms(on, number) for number, on in enumerate(sorted(agreed), 1)),
        prices=tuple(
            version(on, RENT | {"unit_amount": str(number)})
            for number, on in enumerate(sorted({date(2013, 1, 1), *prices}))
        ),
    )
    slices = item_slices(made, SEPTEMBER, ZONE, "USD")
    active = active_period(made, SEPTEMBER, ZONE)
    if active is None:
        assert slices == ()
        return
    assert (slices[0].period.start_at, slices[-1].period.end_at) == (active.start_at, active.end_at)
    assert all(one.period.end_at == two.period.start_at for one, two in pairwise(slices))
    assert [part.final for part in slices] == [False] * (len(slices) - 1) + [True]
