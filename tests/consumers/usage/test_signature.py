"""What a final statement's signature holds: everything that the amount depends on, and nothing of the database."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from msgspec import structs

from fakturo.consumers.usage.handler import UsageAgent
from fakturo.consumers.usage.rateable import DueItem, Rateable
from fakturo.engine.meters import meter_of
from fakturo.engine.periods import Period
from fakturo.schemas.events.contracts import MeterDefinition, SubscriptionItem
from tests.consumers.usage.conftest import CALLS, PEAK, TOKENS, Desk, account, item, settings_of, subscription

FEBRUARY = Period(start_at=datetime(2026, 2, 1, tzinfo=UTC), end_at=datetime(2026, 3, 1, tzinfo=UTC))
MARCH = FEBRUARY.end_at

FILTERED = MeterDefinition(
    code="calls",
    event_type="api.call",
    aggregation="sum",
    value="data.tokens",
    group_by=("data.region",),
    filter={"data.region": ("eu", "us"), "data.tier": ("gold",)},
)


def due(meter: MeterDefinition, *, meter_id: int = 1, **given: Any) -> DueItem:
    one: SubscriptionItem = item("calls", meter, **given)
    return DueItem(
        subscription_item="calls",
        subscription_id="sub-UA",
        account_id="UA",
        currency="EUR",
        meter_id=meter_id,
        meter=meter_of(meter),
        item=one,
        versions=account().versions,
        period=FEBRUARY,
        recorded_at=MARCH,
    )


def test_the_number_of_a_meter_says_nothing() -> None:
    assert Rateable.of(due(FILTERED, meter_id=1)).signature() == Rateable.of(due(FILTERED, meter_id=999)).signature()


def test_an_item_that_its_contract_no_longer_names_signs_without_the_number_too() -> None:
    one, other = (replace(due(FILTERED, meter_id=number), removed=True) for number in (1, 999))
    assert Rateable.of(one).signature() == Rateable.of(other).signature()
    assert Rateable.of(one).signature() != Rateable.of(due(FILTERED)).signature()


def test_the_order_in_which_filters_were_written_says_nothing() -> None:
    turned = structs.replace(FILTERED, filter=dict(reversed(FILTERED.filter.items())))
    assert list(turned.filter) != list(FILTERED.filter)
    assert Rateable.of(due(turned)).signature() == Rateable.of(due(FILTERED)).signature()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"event_type": "api.other"}, id="event type"),
        pytest.param({"aggregation": "max"}, id="aggregation"),
        pytest.param({"value": "data.bytes"}, id="value"),
        pytest.param({"group_by": ()}, id="dimensions"),
        pytest.param({"filter": {}}, id="no filter"),
        pytest.param({"filter": {"data.region": ("eu",), "data.tier": ("gold",)}}, id="a value of a filter"),
    ],
)
def test_each_part_of_a_meter_counts(other: dict[str, Any]) -> None:
    changed = structs.replace(FILTERED, **other)
    assert Rateable.of(due(changed)).signature() != Rateable.of(due(FILTERED)).signature()


def test_the_cadence_of_an_items_periods_counts() -> None:
    """February is a calendar month, and a month from the 1st on too: the periods agree, what they follow does not."""
    anchored = due(CALLS, billing_months=1, anchor_on=date(2026, 1, 1))
    assert Rateable.of(anchored).signature() != Rateable.of(due(CALLS)).signature()


async def _signed(desk: Desk) -> tuple[list[int], list[tuple[Any, ...]]]:
    """Sign three metered items, make February final; return the meters' numbers and the book of final statements."""
    items = (item("calls"), item("tokens", TOKENS), item("peak", PEAK))
    await desk.sign(account(), subscription(*items))
    await desk.hand_in(desk.usage())
    await desk.tick(MARCH)
    meters = [row[0] for row in await desk.connection.fetch("SELECT meter_id FROM usage.meter ORDER BY 1")]
    rows = await desk.connection.fetch("SELECT * FROM usage.final_statement ORDER BY subscription_item")
    return meters, [tuple(row) for row in rows]


async def test_a_book_that_burnt_numbers_keeps_the_same_final_statements(desk: Desk) -> None:
    meters, finals = await _signed(desk)
    assert len(finals) == 3
    names = await desk.connection.fetchval(
        "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables WHERE schemaname = 'usage' "
        "AND tablename <> 'contracts_version'"
    )
    await desk.connection.execute(f"TRUNCATE {names}")
    await desk.connection.execute(
        "SELECT nextval(pg_get_serial_sequence('usage.meter', 'meter_id')) FROM generate_series(1, 7)"
    )
    again = await _signed(Desk(desk.connection, UsageAgent(settings_of())))
    assert not set(meters) & set(again[0])
    assert again[1] == finals
