"""When an item is stated again: after its rest, and a flush says when that is; what is kept of contracts meanwhile."""

from datetime import date
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from msgspec import structs

from fakturo.consumers.usage import statement_store
from fakturo.consumers.usage.handler import UsageAgent
from fakturo.consumers.usage.rateable import DueItem, Rateable
from fakturo.consumers.usage.running_items import RunningItems
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

HOUR = 3600.0


async def _flush_again_seconds(desk: Desk) -> float | None:
    tx = desk.transaction()
    async with desk.connection.transaction():
        await desk.agent.flush(tx)
    return tx.flush_again_seconds


async def test_a_flush_says_when_the_first_item_that_has_changed_will_have_rested(
    connection: asyncpg.Connection,
) -> None:
    desk = Desk(connection, UsageAgent(settings_of(interim_seconds=9 * HOUR, statement_rest_seconds=HOUR)))
    await desk.sign(account(), subscription(item("calls")))
    await desk.hand_in(desk.usage("1"))
    assert await _flush_again_seconds(desk) is None  # it was stated, and nothing else has changed
    await desk.hand_in(desk.usage("2"))
    again_seconds = await _flush_again_seconds(desk)
    assert again_seconds is not None
    assert HOUR / 2 < again_seconds <= HOUR


async def test_a_flush_that_leaves_marks_behind_asks_for_the_next_one_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakturo.consumers.usage.statements.RUNNING_MARKS_MAX", 2)
    for number, name in enumerate(("A", "B", "C")):
        await desk.sign(account(name, salesforce_id=f"001{number:0>15}"), subscription(item(name), account_id=name))
    await desk.hand_in(*(desk.usage(name, subject=name) for name in ("A", "B", "C")))
    assert [await _flush_again_seconds(desk) for _ in range(2)] == [0.0, None]


async def test_an_item_rests_no_longer_than_the_interim_seconds_and_in_a_replay_not_at_all(
    connection: asyncpg.Connection,
) -> None:
    desk = Desk(connection, UsageAgent(settings_of(interim_seconds=0, statement_rest_seconds=HOUR)))
    await desk.sign(account(), subscription(item("calls")))
    for number in range(3):
        await desk.hand_in(desk.usage(str(number)))
        assert [one.quantity for one in await desk.flush()] == [Decimal(number + 1)]


CHANGES: tuple[tuple[Any, ...], ...] = (
    (account(), subscription(item("calls"), item("sum", TOKENS))),
    (subscription(item("calls", prices=(price(THREE_EACH),)), item("sum", TOKENS)),),
    (subscription(item("calls", prices=(price(TWO_EACH), price(THREE_EACH, date(2026, 2, 4)))), item("sum", TOKENS)),),
    (subscription(item("sum", TOKENS, unit="token")),),
    (subscription(item("calls", product_code="RENAMED"), item("sum", TOKENS)),),
    (account(versions=(structs.replace(account().versions[0], locale="de"),)),),
    (account(timezone="Asia/Tokyo"),),
)


async def test_what_is_kept_of_items_says_what_reading_them_anew_says_after_each_change_of_their_contracts(
    desk: Desk,
) -> None:
    for number, facts in enumerate(CHANGES):
        await desk.sign(*facts)
        await desk.hand_in(desk.usage(str(number), "2026-02-05T10:00:00Z"))
        first, again = [], []
        for said, agent in ((first, UsageAgent(settings_of(interim_seconds=0))), (again, desk.agent)):
            tx = desk.transaction()
            transaction = desk.connection.transaction()
            await transaction.start()
            await agent.flush(tx)
            said += [row.value for row in tx.outbox]
            if agent is desk.agent:
                await transaction.commit()
            else:
                await transaction.rollback()
        assert again == first
        assert again


async def _sign_alike(desk: Desk) -> list[tuple[str, int]]:
    """Let accounts A, B and, in another zone, C buy the same; return each account and meter."""
    for number, (name, zone) in enumerate((("A", "UTC"), ("B", "UTC"), ("C", "Asia/Tokyo"))):
        bought = item(name, product_code="CALLS", product_name="calls")
        facts = account(name, zone, salesforce_id=f"001{number:0>15}"), subscription(bought, account_id=name)
        await desk.sign(*facts)
    rows = await desk.connection.fetch("SELECT account_id, meter_id FROM usage.account_meter ORDER BY 1")
    return [(row[0], row[1]) for row in rows]


async def _anew(connection: asyncpg.Connection, names: list[str]) -> list[Rateable]:
    due: list[DueItem] = await statement_store.items_named(connection, names)
    return sorted((Rateable.of(one) for one in due), key=lambda one: one.due.subscription_item)


async def test_items_whose_contracts_say_the_same_share_what_was_cut_and_keep_their_own_names(
    desk: Desk, connection: asyncpg.Connection
) -> None:
    found, failed = await RunningItems().of(connection, await _sign_alike(desk))
    assert not failed
    assert [one.due.subscription_item for one in found] == ["A", "B", "C"]
    assert [one.due.account_id for one in found] == ["A", "B", "C"]
    assert found[0].stretches is found[1].stretches
    for one, anew in zip(found, await _anew(connection, ["A", "B", "C"]), strict=True):
        assert (one.zone, one.stretches, one.due.period) == (anew.zone, anew.stretches, anew.due.period)


async def test_beyond_its_bounds_everything_is_forgotten_and_read_anew(
    desk: Desk, connection: asyncpg.Connection
) -> None:
    pairs = await _sign_alike(desk)
    for items in (RunningItems(items_max=1), RunningItems(contract_bytes_max=0)):
        for pair in (*pairs, *pairs):
            (one,), _ = await items.of(connection, [pair])
            assert one.due.account_id == pair[0]
            assert len(items) == 1
