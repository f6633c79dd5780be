"""A re-rating: totals taken anew from the events, and what was stated of them rated again, at the next tick."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

from fakturo.consumers.runtime.records import Record
from fakturo.schemas.events.usage import RERATE_REQUESTED
from tests.consumers.usage.conftest import TOKENS, Desk, account, item, reasons, subscription

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
FEBRUARY = {"start": "2026-02-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"}


def asked(
    desk: Desk, event_id: str = "r1", account_id: str = "UA", period: dict[str, str] | None = None, **given: Any
) -> Record:
    """Return the record of a request."""
    data = {"account": account_id, "period": period or FEBRUARY}
    return desk.usage(event_id, "2026-03-02T10:00:00Z", type=RERATE_REQUESTED, source="fakturo/cli", data=data, **given)


async def a_broken_february(desk: Desk) -> None:
    """State February from 5 + 7 tokens at 2.00, then break a total, as a lost write would."""
    await desk.sign(account(), subscription(item("tokens", TOKENS)))
    await desk.hand_in(
        desk.usage("1", "2026-02-10T10:00:00Z", data={"tokens": "5"}),
        desk.usage("2", "2026-02-10T10:20:00Z", data={"tokens": "7"}),
    )
    await desk.connection.execute("UPDATE usage.rollup SET sum_value = 1 WHERE sum_value = 5")
    await desk.tick(MARCH)
    assert desk.finals() == [("tokens", "2026-02-01", Decimal(8), 1600)]


async def totals(desk: Desk) -> list[tuple[int, Decimal]]:
    """Return count and sum of each quarter, in order."""
    rows = await desk.connection.fetch("SELECT event_count, sum_value FROM usage.rollup ORDER BY bucket_start_at")
    return [(row["event_count"], row["sum_value"]) for row in rows]


async def test_totals_are_taken_anew_and_the_period_is_stated_again(desk: Desk) -> None:
    await a_broken_february(desk)
    await desk.hand_in(asked(desk, watermark_at=MARCH))
    await desk.tick(MARCH)  # this tick had been reached when it was asked for
    assert await totals(desk) == [(1, Decimal(1)), (1, Decimal(7))]
    await desk.tick(datetime(2026, 3, 2, tzinfo=UTC))
    assert await totals(desk) == [(1, Decimal(5)), (1, Decimal(7))]
    # 12 tokens at 2.00.
    assert desk.finals()[1:] == [("tokens", "2026-02-01", Decimal(12), 2400)]
    assert [one.revision for one in desk.published if one.final] == [1, 2]


async def test_where_the_books_are_right_nothing_is_said_again(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("tokens", TOKENS)))
    await desk.hand_in(desk.usage("1", data={"tokens": "5"}), desk.usage("2", data={"tokens": "7"}))
    await desk.tick(MARCH)
    before = await totals(desk)
    await desk.hand_in(asked(desk, watermark_at=MARCH))
    await desk.tick(datetime(2026, 3, 2, tzinfo=UTC))
    assert await totals(desk) == before == [(2, Decimal(12))]
    assert len(desk.finals()) == 1


async def test_a_total_that_has_no_event_is_gone_and_one_that_was_lost_is_back(desk: Desk) -> None:
    await a_broken_february(desk)
    await desk.connection.execute(
        "UPDATE usage.rollup SET bucket_start_at = bucket_start_at + interval '5 days' WHERE sum_value = 7"
    )
    await desk.hand_in(asked(desk))
    await desk.tick(datetime(2026, 3, 2, tzinfo=UTC))
    assert await totals(desk) == [(1, Decimal(5)), (1, Decimal(7))]


async def test_an_item_that_could_not_be_rated_for_its_broken_totals_is_stated_when_they_are_mended(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("tokens", TOKENS)))
    await desk.hand_in(desk.usage("1", data={"tokens": "5"}))
    await desk.connection.execute("UPDATE usage.rollup SET sum_value = -5")
    await desk.tick(MARCH)
    assert desk.finals() == []
    await desk.hand_in(asked(desk))
    await desk.tick(datetime(2026, 3, 2, tzinfo=UTC))
    assert desk.finals() == [("tokens", "2026-02-01", Decimal(5), 1000)]


async def test_late_usage_is_counted_once_by_a_rerating(desk: Desk) -> None:
    await a_broken_february(desk)
    late = desk.usage("3", "2026-02-20T10:00:00Z", data={"tokens": "100"}, watermark_at=MARCH)
    await desk.hand_in(late, asked(desk, watermark_at=MARCH))
    await desk.tick(datetime(2026, 3, 2, tzinfo=UTC))
    await desk.tick(datetime(2026, 3, 3, tzinfo=UTC))
    assert await totals(desk) == [(1, Decimal(5)), (1, Decimal(7)), (1, Decimal(100))]
    assert desk.finals()[-1] == ("tokens", "2026-02-01", Decimal(112), 22400)


async def test_an_unknown_account_and_an_absurd_range_are_dead_letters_with_their_reason(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("tokens", TOKENS)))
    backwards = {"start": FEBRUARY["end"], "end": FEBRUARY["start"]}
    ages = {"start": "1990-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}
    tx = await desk.hand_in(
        asked(desk, "a", account_id="nobody"),
        asked(desk, "b", period=backwards),
        asked(desk, "c", period=ages),
        desk.usage("d", type=RERATE_REQUESTED, data={"account": "UA"}),
    )
    assert reasons(tx) == ["refused_by_book", "invalid_time", "invalid_time", "unknown_shape"]
    assert await desk.connection.fetchval("SELECT count(*) FROM usage.rerate_request") == 0


async def test_a_request_with_an_id_that_no_index_holds_is_a_dead_letter(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("tokens", TOKENS)))
    request = asked(desk)
    assert request.value is not None
    body = json.loads(request.value) | {"id": Random(1).randbytes(4000).hex()}
    tx = await desk.hand_in(desk.record("billing.usage", json.dumps(body).encode()), desk.usage("1"))
    assert reasons(tx) == ["unknown_shape"]
    assert await desk.stored() == ["1"]


async def test_a_request_that_comes_again_is_a_repeat_and_with_another_payload_a_conflict(desk: Desk) -> None:
    await desk.sign(account(), subscription(item("tokens", TOKENS)))
    await desk.hand_in(asked(desk))
    again = await desk.hand_in(asked(desk))
    assert again.outcomes["billing.usage", "duplicate"] == 1
    other = {"start": "2026-01-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"}
    assert reasons(await desk.hand_in(asked(desk, period=other))) == ["identity_conflict"]
    assert await desk.connection.fetchval("SELECT count(*) FROM usage.rerate_request") == 1


async def test_a_long_request_is_worked_off_in_parts_that_end_with_a_quarter_of_an_hour(
    desk: Desk, monkeypatch: Any
) -> None:
    monkeypatch.setattr("fakturo.consumers.usage.rerate.RERATED_EVENTS_MAX", 2)
    await desk.sign(account(), subscription(item("tokens", TOKENS)))
    days = [1, 1, 1, 5, 9, 9, 27]
    records = [
        desk.usage(str(n), f"2026-02-{day:02d}T10:{n:02d}:00Z", data={"tokens": "1"}) for n, day in enumerate(days)
    ]
    await desk.hand_in(*records)
    await desk.tick(MARCH)
    await desk.connection.execute("DELETE FROM usage.rollup")
    await desk.hand_in(asked(desk))
    await desk.tick(datetime(2026, 3, 2, tzinfo=UTC))
    assert await totals(desk) == [(3, Decimal(3)), (1, Decimal(1)), (2, Decimal(2)), (1, Decimal(1))]
    row = await desk.connection.fetchrow("SELECT done, totalled_until_at FROM usage.rerate_request")
    assert (row["done"], row["totalled_until_at"]) == (True, MARCH)
