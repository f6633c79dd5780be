"""Late, repeated, corrected and voided usage through all agents: the documents sum to one bill made at the end.

Expected  tests/engine/one_bill.py prices the final events once, month by month; tax is that of one invoice a month.
Each run  is one transaction that is rolled back, so one database serves all of them.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import asyncpg
from hypothesis import given, settings
from hypothesis import strategies as st

from fakturo.engine.prices import UsageEvent
from tests.engine.one_bill import half_away, one_bill
from tests.journey.checks import check
from tests.journey.conftest import CATALOG, usage_priced
from tests.journey.journey import Journey, settings_of
from tests.journey.test_properties import BEGAN_ON, BOUNDED, rolled_back

PRICES: dict[str, dict[str, Any]] = {
    "PLAIN": {"model": "per_unit", "unit_amount": "0.013", "free_units": "50"},
    "GRADUATED": {
        "model": "graduated",
        "tiers": [
            {"up_to": "100", "unit_amount": "0.105", "flat_amount": "1"},
            {"up_to": None, "unit_amount": "0.055", "flat_amount": "3"},
        ],
    },
    "VOLUME": {
        "model": "volume",
        "tiers": [
            {"up_to": "100", "unit_amount": "0.115", "flat_amount": "0"},
            {"up_to": None, "unit_amount": "0.075", "flat_amount": "0.5"},
        ],
    },
    "PACKAGES": {"model": "package", "package_size": "40", "package_amount": "3.33", "round": "up"},
    "CAPPED": {"model": "per_unit", "unit_amount": "0.07", "maximum_amount": "9.99"},
    "MINIMUM": {"model": "per_unit", "unit_amount": "0.07", "minimum_amount": "12.34"},
    "PERCENT": {
        "model": "percentage", "percent": "1.3", "fixed_amount": "0.05", "free_events": 2,
        "minimum_per_event": "0.10", "maximum_per_event": "1.50",
    },
    "SHARES": {
        "model": "graduated_percentage",
        "tiers": [
            {"up_to": "100", "percent": "2.5", "flat_amount": "0"},
            {"up_to": None, "percent": "1.1", "flat_amount": "2"},
        ],
    },
    "MARKUP": {"model": "dynamic", "multiplier": "1.07"},
    "FLAT": {"model": "flat", "amount": "4.56"},
    "ZONED": {
        "model": "matrix",
        "dimensions": ["zone"],
        "cells": [
            {
                "match": {"zone": "eu"},
                "price": {"model": "package", "package_size": "40", "package_amount": "1.11", "round": "up"},
            }
        ],
        "default": {"model": "per_unit", "unit_amount": "0.21"},
    },
}  # fmt: skip
"""Every model that a meter feeds, with the modifiers that look at a whole period."""

RATE = "7"
PATIENCE_SECONDS = 366 * 86_400
"""So long a correction waits for what it corrects."""
TOLD_UNTIL = "2026-07-02"
"""The last thing is said 88 + 70 days after New Year: on 8 June. July's invoice has all of it."""


@dataclass(frozen=True)
class Use:
    """One use as it is said: on which day it was, how much and where; it costs as much as it is."""

    day: int
    quantity: int
    zone: str

    @property
    def on(self) -> date:
        return BEGAN_ON + timedelta(days=self.day)


Saying = tuple[int, Use | None, bool]
"""After how many days it is said, what the use is (None: void), and whether it is said twice."""

uses = st.builds(Use, st.integers(0, 88), st.integers(1, 150), st.sampled_from(["eu", "us"]))
sayings = st.tuples(st.integers(0, 70), st.none() | uses, st.booleans())
stories = st.lists(
    st.tuples(uses, st.integers(0, 70), st.booleans(), st.lists(sayings, max_size=2)), min_size=1, max_size=5
)


@dataclass(frozen=True)
class Said:
    """What is said on a day: use `number` by its saying `which`, 0 being the event itself."""

    on: date
    number: int
    which: int
    use: Use | None
    is_twice: bool

    @property
    def clock(self) -> str:
        """Return the time of day: each saying has its own, so that nothing depends on the order of what is told."""
        return f"12:{self.number:02d}:{self.which:02d}"

    @property
    def event_id(self) -> str:
        """Return the id of the use, or of what replaces it."""
        return f"e{self.number}" if self.which == 0 else f"e{self.number}/{self.which}"


def told(story: Sequence[tuple[Use, int, bool, list[Saying]]]) -> list[Said]:
    """Return all that is said, by day: events when they were or up to 70 days late, and what corrects them."""
    found = []
    for number, (use, late, is_twice, corrections) in enumerate(story):
        found.append(Said(use.on + timedelta(days=late), number, 0, use, is_twice))
        for which, (gap, corrected, again) in enumerate(corrections, start=1):
            latest = max(use.on, corrected.on if corrected else use.on)
            found.append(Said(latest + timedelta(days=gap), number, which, corrected, again))
    return sorted(found, key=lambda one: (one.on, one.number, one.which))


def counted(said: Sequence[Said]) -> list[Said]:
    """Return what counts in the end: of each use the correction that was said last, else the event itself."""
    last: dict[int, Said] = {}
    for one in said:
        if one.which or one.number not in last:
            last[one.number] = one
    return [one for one in last.values() if one.use is not None]


@settings(BOUNDED, max_examples=12)
@given(
    story=stories,
    products=st.lists(st.sampled_from(sorted(PRICES)), min_size=1, max_size=4, unique=True),
    batch_max=st.sampled_from((1, 3, 1000)),
    corrections=st.sampled_from(("next_invoice", "at_once")),
)
async def test_the_documents_of_any_history_of_usage_are_one_bill(
    connection: asyncpg.Connection,
    story: list[tuple[Use, int, bool, list[Saying]]],
    products: list[str],
    batch_max: int,
    corrections: str,
) -> None:
    async with rolled_back(connection):
        catalog = {**CATALOG, **usage_priced(PRICES, RATE)}
        journey = Journey(
            connection,
            catalog,
            BEGAN_ON,
            settings_of(corrections=corrections, parked_seconds_max=PATIENCE_SECONDS),
            batch_max,
        )
        journey.account("A")
        journey.order("O", "A", "2026-01-01")
        for product in products:
            journey.item(product, "O", product)
        said = told(story)
        await tell(journey, said)
        await journey.until(TOLD_UNTIL, 9)
        expected = bill(counted(said), products)
        for product in products:
            assert journey.billed(product) == expected[product], product
        taxes = [
            half_away(Fraction(sum(amounts[month] for amounts in expected.values())) * Fraction(RATE) / 100)
            for month in expected[products[0]]
        ]
        assert sum(one.tax_minor for one in journey.documents) == sum(taxes)
        await check(journey)


async def tell(journey: Journey, said: Sequence[Said]) -> None:
    """Say everything on its day, some of it twice."""
    for one in said:
        if one.on > journey.today:
            await journey.until(one.on.isoformat(), 9)
        use = None
        if one.use is not None:
            more = {"amount": str(one.use.quantity), "zone": one.use.zone}
            on = one.use.on.isoformat()
            use = journey.usage("A", on, one.use.quantity, event_id=one.event_id, clock=one.clock, **more)
        event = journey.correction("A", f"e{one.number}", use) if one.which or use is None else use
        for _ in range(1 + one.is_twice):
            journey.send("A", event)


def bill(said: Sequence[Said], products: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return what each product costs in each month from January to June, in minor units."""
    months = [f"2026-{month:02d}" for month in range(1, 7)]
    by_month: dict[str, list[UsageEvent]] = defaultdict(list)
    for one in said:
        if one.use is not None:
            used = Decimal(one.use.quantity)
            at = datetime.combine(one.use.on, time.fromisoformat(one.clock))
            by_month[f"{at:%Y-%m}"].append(
                UsageEvent(quantity=used, amount=used, at=at, properties={"zone": one.use.zone})
            )
    return {
        product: {month: half_away(one_bill(PRICES[product], by_month[month]), 2) for month in months}
        for product in products
    }
