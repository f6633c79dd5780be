"""Whatever the order, the batches and the ticks, usage and contract changes end in the same final statements."""

import random
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from msgspec import structs

from fakturo.consumers.usage.handler import UsageAgent
from fakturo.schemas.events.contracts import ItemTerms, MeterDefinition, Pause, SubscriptionItem
from fakturo.schemas.events.usage import UsageRated
from tests.consumers.usage.conftest import (
    THREE_EACH,
    TOKENS,
    TWO_EACH,
    Desk,
    account,
    item,
    price,
    settings_of,
    subscription,
)

JANUARY_1 = date(2026, 1, 1)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
USERS = MeterDefinition(code="users", event_type="api.call", aggregation="unique", value="data.user")
PERCENT = {"model": "percentage", "percent": "10", "free_events": 2, "currency": "EUR"}
FREE_20 = {"model": "per_unit", "unit_amount": "2", "free_units": "20", "currency": "EUR"}


def _items() -> list[SubscriptionItem]:
    since = {"service_start_on": JANUARY_1}
    return [
        item("sum", TOKENS, **since),
        item("users", USERS, **since),
        item("percent", TOKENS, price(PERCENT), **since),
        item("allowance", TOKENS, price(FREE_20), anchor_on=JANUARY_1, allowance_months=12, **since),
    ]


CHANGES: list[dict[str, Any]] = [
    {"prices": (price(TWO_EACH), price(THREE_EACH, date(2026, 2, 15)))},
    {"trial_until_on": date(2026, 1, 20)},
    {"pauses": (Pause(start_on=date(2026, 3, 5), end_on=date(2026, 3, 20)),)},
    {"service_end_on": date(2026, 4, 10)},
    {"service_start_on": date(2026, 1, 15)},
    {"terms": (ItemTerms(effective_from=JANUARY_1, quantity=Decimal(1), discount_percent=Decimal(25)),)},
]


def _said(desk: Desk) -> dict[str, UsageRated]:
    """Return the newest final statement under each key of the compacted topic, without what tells revisions apart."""
    newest: dict[str, UsageRated] = {}
    for key, one in zip(desk.keys, desk.published, strict=True):
        if one.final:
            assert one.revision > newest[key].revision if key in newest else one.revision == 1
            newest[key] = one
    return {key: structs.replace(one, revision=1, recorded_at=None) for key, one in newest.items()}


async def _live(database_url: str, chance: random.Random, seed: int, *, calm: bool) -> dict[str, UsageRated]:
    """Live through one history in a book of its own; `calm`: all usage, all changes, then one tick."""
    connection = await asyncpg.connect(database_url)
    desk = Desk(connection, UsageAgent(settings_of()))
    try:
        await _empty(connection)
        history = random.Random(seed)
        usage = [
            desk.usage(
                str(number),
                f"2026-0{history.randint(1, 4)}-{history.randint(1, 28):02}T{number // 60:02}:{number % 60:02}:00Z",
                data={"tokens": str(history.randint(1, 9)), "user": f"u{history.randint(1, 9)}"},
            )
            for number in range(60)
        ]
        items = _items()
        final = [structs.replace(one, **change) for one in items for change in [history.choice(CHANGES)]]
        await desk.sign(account(), *(subscription(one, name=one.subscription_item) for one in items))
        changes = [desk.contract(subscription(one, name=one.subscription_item)) for one in final]
        if calm:
            await desk.hand_in(*usage, *changes)
        else:
            chance.shuffle(usage)
            while usage:
                size = chance.choice((1, 7, 20))
                await desk.hand_in(*usage[:size])
                del usage[:size]
                if chance.random() < 0.3:
                    await desk.flush()
            chance.shuffle(changes)
            for month in range(2, 6):
                await desk.tick(datetime(2026, month, 1, tzinfo=UTC))
                if chance.random() < 0.5 and changes:
                    await desk.hand_in(changes.pop())
            await desk.hand_in(*changes)
        await desk.tick(JUNE)
        return _said(desk)
    finally:
        await connection.close()


async def _empty(connection: asyncpg.Connection) -> None:
    tables = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'usage' AND tablename <> 'contracts_version'"
    )
    await connection.execute(f"TRUNCATE {', '.join('usage.' + row['tablename'] for row in tables)} RESTART IDENTITY")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.usefixtures("copied_however_few")
async def test_any_order_of_usage_changes_and_ticks_ends_in_the_same_final_statements(
    database_url: str, seed: int
) -> None:
    chance = random.Random(seed)
    expected = await _live(database_url, chance, seed, calm=True)
    found = await _live(database_url, chance, seed, calm=False)
    # A period that the last contract knows nothing of is stated where it was stated before, with nothing in it.
    assert {key: one for key, one in found.items() if key in expected} == expected
    assert all(one.slices == () for key, one in found.items() if key not in expected)
