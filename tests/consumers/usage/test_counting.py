"""Usage in, totals and statements out: identity, bad input, lateness, as the books and the outbox show them."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random
from typing import Any

import asyncpg
import pytest

from fakturo.consumers.runtime.isolation import handle_isolated
from fakturo.consumers.usage.handler import UsageAgent
from tests.consumers.usage.conftest import (
    BY_REGION,
    CALLS,
    PEAK,
    THREE_EACH,
    TOKENS,
    TWO_EACH,
    Desk,
    account,
    all_events,
    item,
    price,
    reasons,
    settings_of,
    subscription,
)

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)


async def test_usage_is_stored_counted_and_billed_once_at_the_end_of_its_month(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    await desk.hand_in(*(desk.usage(str(number)) for number in range(7)))
    await desk.tick(datetime(2026, 2, 28, 23, 59, tzinfo=UTC))
    assert desk.finals() == []
    await desk.tick(MARCH)
    assert desk.finals() == [("calls", "2026-02-01", Decimal(7), 1400)]
    assert desk.keys == ["UA/item/calls/2026-02-01"]
    assert desk.event_ids == ["calls/2026-02-01/final"]
    statement = desk.published[0]
    assert statement.as_of == MARCH
    assert (statement.period.start, statement.period.end) == (datetime(2026, 2, 1, tzinfo=UTC), MARCH)


async def test_an_item_without_usage_gets_a_final_statement_of_zero(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    await desk.tick(MARCH)
    await desk.tick(APRIL)
    assert desk.finals() == [("calls", "2026-02-01", Decimal(0), 0), ("calls", "2026-03-01", Decimal(0), 0)]


async def test_a_repeat_is_ignored_in_its_batch_and_later_whatever_the_order_of_its_keys(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    first = await desk.hand_in(desk.usage("a"), desk.usage("a"))
    turned = json.dumps(dict(reversed(json.loads(desk.usage("a").value or b"").items())), indent=1).encode()
    moved = json.dumps(json.loads(desk.usage("a", "2026-02-10T12:00:00+02:00").value or b"")).encode()
    second = await desk.hand_in(desk.record("billing.usage", turned), desk.record("billing.usage", moved))
    assert first.outcomes["billing.usage", "duplicate"] == 1
    assert second.outcomes["billing.usage", "duplicate"] == 2
    assert not first.rejections
    assert not second.rejections
    assert [one.quantity for one in await desk.flush()] == [Decimal(1)]


async def test_a_known_id_with_another_payload_is_rejected_in_its_batch_and_later(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("tokens", TOKENS)))
    tx = await desk.hand_in(desk.usage("a"), desk.usage("a", data={"tokens": "6"}), desk.usage("b"))
    assert reasons(tx) == ["identity_conflict"]
    for changed in ({"at": "2026-02-10T10:00:01Z"}, {"data": {"tokens": "6"}}):
        assert reasons(await desk.hand_in(desk.usage("a", **changed))) == ["identity_conflict"]
    assert (await desk.hand_in(desk.usage("a", source="meter/2"))).rejections == []
    assert [one.quantity for one in await desk.flush()] == [Decimal(15)]


NAN_LITERAL = (
    b'{"specversion":"1.0","id":"n","source":"s","type":"api.call","subject":"UA",'
    b'"time":"2026-02-10T10:00:00Z","data":{"tokens":NaN}}'
)
BAD: list[tuple[str, dict[str, Any] | bytes | None]] = [
    ("malformed_json", b"{"),
    ("malformed_json", NAN_LITERAL),
    ("malformed_json", b"\xff\xfe"),
    ("unknown_shape", None),
    ("unknown_shape", b"[]"),
    ("unknown_shape", b'"text"'),
    ("unknown_shape", {"subject": None}),
    ("unknown_shape", {"subject": ""}),
    ("unknown_shape", {"data": None}),
    ("unknown_shape", {"data": [1]}),
    ("unknown_shape", {"data": {"tokens": "1", "text": "\0"}}),
    ("unknown_shape", {"source": "a\0b"}),
    ("invalid_time", {"time": None}),
    ("invalid_time", {"time": "2026-02-10T10:00:00"}),
    ("invalid_time", {"time": 1770000000}),
    ("invalid_time", {"time": "yesterday"}),
    ("float_amount", {"data": {"tokens": 1.5}}),
    ("float_amount", {"data": {"tokens": 1e3}}),
    ("not_a_number", {"data": {"tokens": "NaN"}}),
    ("not_a_number", {"data": {"tokens": "Infinity"}}),
    ("not_a_number", {"data": {"tokens": "1e3"}}),
    ("not_a_number", {"data": {"tokens": True}}),
    ("not_a_number", {"data": {"tokens": {}}}),
    ("not_a_number", {"data": {"tokens": "9" * 25}}),
    ("value_missing", {"data": {"other": 1}}),
    ("value_missing", {"data": {"tokens": None}}),
    ("unknown_shape", {"type": "fakturo.usage.corrected.v1", "data": {"corrects": {"source": "s", "id": "i"}}}),
]  # fmt: skip


async def test_bad_events_are_dead_lettered_with_their_reason_and_the_events_around_them_are_billed(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("tokens", TOKENS)))
    batch = [desk.usage("first")]
    for number, (_, content) in enumerate(BAD):
        if isinstance(content, dict):
            content = dict(content)
            at = content.pop("time", "2026-02-10T10:00:00Z")
            batch.append(desk.usage(f"bad{number}", at, **content))
        else:
            batch.append(desk.record("billing.usage", content))
        batch.append(desk.usage(f"good{number}"))
    tx = await desk.hand_in(*batch)
    by_offset = {rejection.record.offset: rejection.reason.value for rejection in tx.rejections}
    assert [by_offset.get(record.offset) for record in batch[1::2]] == [reason for reason, _ in BAD]
    assert [by_offset.get(record.offset) for record in batch[::2]] == [None] * (len(BAD) + 1)
    assert {row.topic for row in tx.outbox} == {"billing.usage.dlq"}
    assert {row.value for row in tx.outbox} == {record.value for record in batch[1::2]}
    assert len(await desk.stored()) == len(BAD) + 1
    assert [one.quantity for one in await desk.flush()] == [Decimal(5 * (len(BAD) + 1))]


async def test_a_dead_letter_claims_no_identity_so_the_mended_event_counts(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("tokens", TOKENS)))
    tx = await desk.hand_in(desk.usage("a", data={"tokens": 1.5}), desk.usage("a", data={"tokens": "1.5"}))
    assert reasons(tx) == ["float_amount"]
    assert [one.quantity for one in await desk.flush()] == [Decimal("1.5")]


async def test_usage_after_its_period_closed_is_stated_as_a_revision_at_the_next_tick(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    await desk.hand_in(desk.usage("1"))
    await desk.tick(MARCH)
    tx = await desk.hand_in(
        desk.usage("2", "2026-02-28T23:59:59Z", watermark_at=MARCH),
        desk.usage("3", "2026-03-01T00:00:00Z", watermark_at=MARCH),
    )
    assert tx.outcomes["billing.usage", "late"] == 1
    assert [event.id for event in await all_events(desk.connection) if event.late] == ["2"]
    await desk.tick(APRIL)
    assert [(start_on, quantity) for _, start_on, quantity, _ in desk.finals()] == [
        ("2026-02-01", Decimal(1)),
        ("2026-03-01", Decimal(1)),
        ("2026-02-01", Decimal(2)),
    ]


@pytest.mark.parametrize(("grace_seconds", "late"), [(3599, True), (3600, True), (3601, False)])
async def test_a_period_stays_open_for_the_grace(
    connection: asyncpg.Connection, grace_seconds: int, late: bool
) -> None:
    desk = Desk(connection, UsageAgent(settings_of(grace_seconds=grace_seconds)))
    await desk.sign(account(), subscription(item("calls")))
    at_one = datetime(2026, 3, 1, 1, tzinfo=UTC)
    tx = await desk.hand_in(desk.usage("1", "2026-02-28T12:00:00Z", watermark_at=at_one))
    assert bool(tx.outcomes["billing.usage", "late"]) is late
    await desk.tick(at_one)
    assert bool(desk.finals()) is late


async def test_lateness_and_periods_follow_the_accounts_own_midnight(desk: Desk) -> None:
    """March began in New York at 05:00 UTC."""
    await desk.sign(account(timezone="America/New_York"), subscription(item("calls")))
    four = datetime(2026, 3, 1, 4, 59, tzinfo=UTC)
    await desk.hand_in(
        desk.usage("before", "2026-02-01T04:59:59Z"),
        desk.usage("first", "2026-02-01T05:00:00Z"),
        desk.usage("last", "2026-03-01T04:59:59Z", watermark_at=four),
        desk.usage("after", "2026-03-01T05:00:00Z"),
    )
    await desk.tick(four)
    assert desk.finals() == []
    await desk.tick(datetime(2026, 3, 1, 5, tzinfo=UTC))
    assert desk.finals() == [("calls", "2026-02-01", Decimal(2), 400)]


async def test_aggregations_and_groups_come_out_as_the_price_language_says(desk: Desk) -> None:
    matrix = {
        "model": "matrix", "currency": "EUR", "dimensions": ["region"],
        "cells": [
            {"match": {"region": "eu"}, "price": {"model": "per_unit", "unit_amount": "1.005", "currency": "EUR"}},
            {"match": {"region": "us"}, "price": {"model": "per_unit", "unit_amount": "10", "currency": "EUR"}},
        ],
    }  # fmt: skip
    cells = item("cells", BY_REGION, price(matrix))
    await desk.sign(account(), subscription(item("sum", TOKENS), item("peak", PEAK), cells))
    for number, (tokens, region) in enumerate([("5", "eu"), (7, "us"), ("-2.5", "eu"), ("6", "us")]):
        await desk.hand_in(
            desk.usage(str(number), f"2026-02-1{number}T00:00:00Z", data={"tokens": tokens, "region": region})
        )
    await desk.tick(MARCH)
    assert sorted(desk.finals()) == [
        ("cells", "2026-02-01", Decimal(4), 2201),  # 2 x 1.005 + 2 x 10 = 22.01
        ("peak", "2026-02-01", Decimal(7), 1400),
        ("sum", "2026-02-01", Decimal("15.5"), 3100),
    ]
    quantities = next(one.slices[0].quantities for one in desk.published if one.subscription_item == "cells")
    assert quantities == {'{"region":"eu"}': Decimal(2), '{"region":"us"}': Decimal(2)}


async def test_a_price_change_inside_a_period_splits_it_at_the_local_midnight(desk: Desk) -> None:
    versions = (price(TWO_EACH), price(THREE_EACH, date(2026, 2, 15)))
    await desk.sign(account(timezone="America/New_York"), subscription(item("calls", CALLS, *versions)))
    times = ("2026-02-14T12:00:00Z", "2026-02-15T04:59:59Z", "2026-02-15T05:00:00Z")
    await desk.hand_in(*(desk.usage(at, at) for at in times))
    await desk.tick(datetime(2026, 3, 1, 5, tzinfo=UTC))
    slices = desk.published[0].slices
    assert [(one.quantity, one.amount_minor) for one in slices] == [(Decimal(2), 400), (Decimal(1), 300)]
    assert [one.price_hash for one in slices] == [version.hash for version in versions]
    assert slices[0].period.end == slices[1].period.start == datetime(2026, 2, 15, 5, tzinfo=UTC)
    assert desk.published[0].amount_minor == 700


async def test_a_price_change_at_a_period_boundary_leaves_each_period_with_one_price(desk: Desk) -> None:
    versions = (price(TWO_EACH), price(THREE_EACH, date(2026, 3, 1)))
    await desk.sign(account(), subscription(item("calls", CALLS, *versions)))
    await desk.hand_in(desk.usage("1", "2026-02-28T23:59:59Z"), desk.usage("2", "2026-03-01T00:00:00Z"))
    await desk.tick(APRIL)
    assert desk.finals() == [("calls", "2026-02-01", Decimal(1), 200), ("calls", "2026-03-01", Decimal(1), 300)]
    assert [len(one.slices) for one in desk.published] == [1, 1]


async def test_running_statements_show_what_changed_and_only_that(desk: Desk) -> None:
    tiers = {
        "model": "graduated", "currency": "EUR",
        "tiers": [{"up_to": "3", "unit_amount": "2"}, {"up_to": None, "unit_amount": "1"}],
    }  # fmt: skip
    await desk.sign(account(), subscription(item("calls", CALLS, price(tiers)), item("tokens", TOKENS)))
    await desk.flush()
    assert await desk.flush() == []
    await desk.hand_in(desk.usage("1", "2026-02-10T10:00:00Z"), desk.usage("2", "2026-02-10T10:20:00Z"))
    running = {one.subscription_item: one for one in await desk.flush()}
    assert running.keys() == {"calls", "tokens"}
    calls = running["calls"]
    assert (calls.quantity, calls.amount_minor, calls.final) == (Decimal(2), 400, False)
    assert calls.as_of == datetime(2026, 2, 10, 10, 20, tzinfo=UTC)
    assert calls.next_tier is not None
    assert (calls.next_tier.remaining, calls.next_tier.unit_amount) == (Decimal(1), Decimal(1))
    row = await desk.connection.fetchrow("SELECT * FROM usage.statement WHERE subscription_item = 'calls'")
    assert row is not None
    assert (row["quantity"], row["amount_minor"], row["final"]) == (Decimal(2), 400, False)
    assert (row["next_tier_remaining"], row["next_tier_unit_amount"]) == (Decimal(1), Decimal(1))
    await desk.tick(MARCH)
    assert await desk.connection.fetchval("SELECT bool_and(final) FROM usage.statement") is True


async def test_an_item_that_cannot_be_rated_waits_for_its_contract_and_the_others_go_on(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("minus", TOKENS), item("calls")))
    await desk.hand_in(desk.usage("1", data={"tokens": "-1"}))
    await desk.tick(MARCH)
    assert [name for name, *_ in desk.finals()] == ["calls"]
    problem = await desk.connection.fetchval("SELECT problem FROM usage.subscription_item WHERE problem IS NOT NULL")
    assert "below 0" in problem


async def test_an_amount_that_no_book_can_hold_stops_its_item_and_nobody_else(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("huge", TOKENS), item("calls")))
    await desk.hand_in(desk.usage("1", data={"tokens": "999999999999999999999999"}))
    assert [one.subscription_item for one in await desk.flush()] == ["calls"]
    await desk.tick(MARCH)
    assert [name for name, *_ in desk.finals()] == ["calls"]
    problem = await desk.connection.fetchval("SELECT problem FROM usage.subscription_item WHERE problem IS NOT NULL")
    assert "amount_too_large" in problem


async def test_an_id_too_long_to_be_found_by_is_dead_lettered_alone(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("calls")))
    tx = desk.transaction()
    async with desk.connection.transaction():
        records = [desk.usage("1"), desk.usage(Random(1).randbytes(4000).hex()), desk.usage("2")]
        await handle_isolated(desk.agent, records, tx)
    assert await desk.stored() == ["1", "2"]
    assert reasons(tx) == ["unknown_shape"]


async def test_many_items_are_worked_off_in_bounded_calls(desk: Desk) -> None:
    facts = [account(f"A{number:03}", salesforce_id=f"{number:018}") for number in range(230)]
    await desk.sign(*facts, *(subscription(item(f"i{one.account}"), account_id=one.account) for one in facts))
    calls = await desk.tick(APRIL)
    assert len(desk.finals()) == 460
    assert calls >= 3
    assert [start for _, start, _, _ in desk.finals()] == ["2026-02-01"] * 230 + ["2026-03-01"] * 230
