"""Corrected and voided usage: what counts then, in an open period at once and in a closed one as the next revision."""

import random
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from fakturo.consumers.runtime.records import Record
from fakturo.schemas.events.contracts import MeterDefinition
from tests.consumers.usage.conftest import (
    BY_REGION,
    CALLS,
    PEAK,
    TOKENS,
    Desk,
    account,
    item,
    price,
    reasons,
    subscription,
)

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
APRIL_2 = datetime(2026, 4, 2, tzinfo=UTC)
FEBRUARY_10, MARCH_10 = "2026-02-10T10:00:00Z", "2026-03-10T10:00:00Z"


def replacement(event_id: str, tokens: str, at: str = FEBRUARY_10, **given: Any) -> dict[str, Any]:
    """Return a usage event of account UA as a correction carries it."""
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": "meter/1",
        "type": "api.call",
        "subject": "UA",
        "time": at,
        "data": {"tokens": tokens, "region": "eu"},
    }
    return {**event, **given}


def correction(
    desk: Desk, name: str, corrects: str, by: dict[str, Any] | None, at: str = "2026-03-05T00:00:00Z", **given: Any
) -> Record:
    """Return a correction of the event called `corrects`."""
    data = {"corrects": {"source": "meter/1", "id": corrects}, "replacement": by}
    return desk.usage(name, at, **{"type": "fakturo.usage.corrected.v1", "data": data, "source": "mender", **given})


async def correct(desk: Desk, *records: Record) -> list[str]:
    """Hand corrections in and apply them; return why some were refused."""
    tx = await desk.hand_in(*records)
    assert not tx.rejections, tx.rejections
    applied = desk.transaction()
    async with desk.connection.transaction():
        await desk.agent.flush(applied)
    return [*reasons(applied)]


async def stated(desk: Desk) -> dict[tuple[str, str], tuple[int, Decimal, int]]:
    """Return revision, quantity and cents of the newest final statement of each item and period start."""
    return {
        (one.subscription_item, key.rpartition("/")[2]): (one.revision, one.quantity, one.amount_minor)
        for one, key in zip(desk.published, desk.keys, strict=True)
        if one.final
    }


async def _february(desk: Desk, *facts: Any) -> None:
    """Tokens 5 and 7 in February, 11 in March, 2 EUR each; February is final: 12, 24 EUR."""
    await desk.sign(account(), *(facts or (subscription(item("tokens", TOKENS)),)))
    await desk.hand_in(
        desk.usage("1", FEBRUARY_10, data={"tokens": "5", "region": "eu"}),
        desk.usage("2", "2026-02-10T10:05:00Z", data={"tokens": "7", "region": "us"}),
        desk.usage("3", MARCH_10, data={"tokens": "11", "region": "eu"}),
    )
    await desk.tick(MARCH)


async def test_a_correction_in_an_open_period_changes_the_running_statement_at_once(desk: Desk) -> None:
    """11 tokens in March become 13."""
    await _february(desk)
    await desk.flush()
    assert await correct(desk, correction(desk, "c1", "3", replacement("3b", "13", MARCH_10), watermark_at=MARCH)) == []
    assert await desk.connection.fetchval("SELECT quantity FROM usage.statement") == Decimal(13)
    await desk.tick(APRIL)
    assert (await stated(desk))["tokens", "2026-03-01"] == (1, Decimal(13), 2600)


async def test_a_replaced_and_a_voided_event_of_a_closed_period_are_its_next_revision(desk: Desk) -> None:
    """5 becomes 6, 7 nothing: 6 tokens, 12 EUR. The tick at which they came knows nothing of them."""
    await _february(desk)
    records = (
        correction(desk, "c1", "1", replacement("1b", "6"), watermark_at=MARCH),
        correction(desk, "c2", "2", None, watermark_at=MARCH),
    )
    assert await correct(desk, *records) == []
    await desk.tick(MARCH)
    assert (await stated(desk))["tokens", "2026-02-01"] == (1, Decimal(12), 2400)
    await desk.tick(APRIL)
    assert (await stated(desk))["tokens", "2026-02-01"] == (2, Decimal(6), 1200)
    assert await desk.connection.fetchval("SELECT count(*) FROM usage.late_rollup") == 0


async def test_a_correction_is_corrected_by_naming_the_event_or_its_replacement(desk: Desk) -> None:
    """5 becomes 6, then 8 (naming the replacement), then 9 (naming the first event again): 9 + 7."""
    await _february(desk)
    for day, corrects, by in ((5, "1", ("1b", "6")), (6, "1b", ("1c", "8")), (7, "1", ("1d", "9"))):
        at = f"2026-03-0{day}T00:00:00Z"
        assert (
            await correct(desk, correction(desk, f"c{day}", corrects, replacement(*by), at, watermark_at=MARCH)) == []
        )
    await desk.tick(APRIL)
    assert (await stated(desk))["tokens", "2026-02-01"] == (2, Decimal(16), 3200)


async def test_of_corrections_in_any_order_the_one_with_the_greatest_time_stands(desk: Desk) -> None:
    """The void of 7 March came first; the replacement of 6 March never counts."""
    await _february(desk)
    await correct(desk, correction(desk, "c2", "1", None, "2026-03-07T00:00:00Z", watermark_at=MARCH))
    await correct(
        desk, correction(desk, "c1", "1", replacement("1b", "100"), "2026-03-06T00:00:00Z", watermark_at=MARCH)
    )
    await desk.tick(APRIL)
    assert (await stated(desk))["tokens", "2026-02-01"] == (2, Decimal(7), 1400)


async def test_a_correction_that_comes_before_its_event_waits_for_it(desk: Desk) -> None:
    await _february(desk)
    await correct(desk, correction(desk, "c1", "4", replacement("4b", "1", MARCH_10), watermark_at=MARCH))
    assert await desk.parked() == ['usage event ["meter/1","4"]']
    await desk.hand_in(desk.usage("4", MARCH_10, data={"tokens": "50"}, watermark_at=MARCH))
    await desk.tick(APRIL)
    assert await desk.parked() == []
    assert (await stated(desk))["tokens", "2026-03-01"] == (1, Decimal(12), 2400)


async def test_a_chain_that_comes_backwards_ends_as_it_should(desk: Desk) -> None:
    """The second correction, the first and the event: 3 in the end."""
    await _february(desk)
    second = correction(desk, "c2", "4b", replacement("4c", "3"), "2026-03-06T00:00:00Z", watermark_at=MARCH)
    first = correction(desk, "c1", "4", replacement("4b", "2"), "2026-03-05T00:00:00Z", watermark_at=MARCH)
    await correct(desk, second, first)
    await desk.hand_in(desk.usage("4", FEBRUARY_10, data={"tokens": "50"}, watermark_at=MARCH))
    await desk.tick(APRIL)
    assert (await stated(desk))["tokens", "2026-02-01"] == (2, Decimal(15), 3000)


async def test_a_correction_moves_usage_to_another_period_and_account(desk: Desk) -> None:
    """5 of February go to March: 7 and 16. 7 of account UA go to AA: 0 and 7."""
    await _february(desk)
    await desk.sign(account("AA", salesforce_id="001AA0000000002YAA"))
    await desk.sign(subscription(item("other", TOKENS), account_id="AA"))
    await desk.tick(datetime(2026, 3, 2, tzinfo=UTC))
    moved = replacement("2b", "7", subject="AA")
    records = (
        correction(desk, "c1", "1", replacement("1b", "5", MARCH_10), watermark_at=MARCH),
        correction(desk, "c2", "2", moved, watermark_at=MARCH),
    )
    assert await correct(desk, *records) == []
    await desk.tick(APRIL)
    assert await stated(desk) == {
        ("tokens", "2026-02-01"): (2, Decimal(0), 0),
        ("tokens", "2026-03-01"): (1, Decimal(16), 3200),
        ("other", "2026-02-01"): (2, Decimal(7), 1400),
        ("other", "2026-03-01"): (1, Decimal(0), 0),
    }


USERS = MeterDefinition(code="users", event_type="api.call", aggregation="unique", value="data.tokens")
LOWEST = MeterDefinition(code="lowest", event_type="api.call", aggregation="min", value="data.tokens")
NEWEST = MeterDefinition(code="newest", event_type="api.call", aggregation="last", value="data.tokens")
MEAN = MeterDefinition(code="mean", event_type="api.call", aggregation="average", value="data.tokens")
SEATS = MeterDefinition(code="seats", event_type="api.call", aggregation="weighted_sum", value="data.tokens")
PERCENT = {"model": "percentage", "percent": "10", "currency": "EUR"}


async def test_what_cannot_be_subtracted_is_totalled_again(desk: Desk) -> None:
    """Tokens 5 (10:00) and 7 (10:05); the 7 is voided, the 5 becomes 4: one event of 4 is left.

    Peak, lowest, newest, mean and distinct values: 4, 4, 4, 4 and 1. Ten per cent of 4 are 0.40 EUR.
    """
    meters = {"peak": PEAK, "lowest": LOWEST, "newest": NEWEST, "mean": MEAN, "users": USERS, "calls": CALLS}
    facts = [subscription(item(name, meter), name=name) for name, meter in meters.items()]
    await _february(desk, *facts, subscription(item("percent", TOKENS, price(PERCENT)), name="percent"))
    await correct(
        desk,
        correction(desk, "c1", "1", replacement("1b", "4"), watermark_at=MARCH),
        correction(desk, "c2", "2", None, watermark_at=MARCH),
        correction(desk, "c3", "3", None, watermark_at=MARCH),
    )
    await desk.tick(APRIL)
    found = await stated(desk)
    assert {name: found[name, "2026-02-01"][:2] for name in meters} == {
        "peak": (2, Decimal(4)),
        "lowest": (2, Decimal(4)),
        "newest": (2, Decimal(4)),
        "mean": (2, Decimal(4)),
        "users": (2, Decimal(1)),
        "calls": (2, Decimal(1)),
    }
    assert found["percent", "2026-02-01"] == (2, Decimal(4), 40)
    assert {found[name, "2026-03-01"][:2] for name in meters} == {(1, Decimal(0))}


async def test_a_level_that_is_corrected_changes_all_later_periods(desk: Desk) -> None:
    """+4 from 1 February on, corrected to +6: 4 in February and March become 6."""
    await desk.sign(account(), subscription(item("seats", SEATS)))
    await desk.hand_in(desk.usage("1", "2026-02-01T00:00:00Z", data={"tokens": "4"}))
    await desk.tick(APRIL)
    assert {row[1] for row in (await stated(desk)).values()} == {Decimal(4)}
    await correct(desk, correction(desk, "c1", "1", replacement("1b", "6", "2026-02-01T00:00:00Z"), watermark_at=APRIL))
    await desk.tick(APRIL_2)
    assert await stated(desk) == {
        ("seats", "2026-02-01"): (2, Decimal(6), 1200),
        ("seats", "2026-03-01"): (2, Decimal(6), 1200),
    }


async def test_late_usage_in_an_allowance_changes_the_later_periods_of_its_window(desk: Desk) -> None:
    """10 free a year; 8 in March cost nothing. 6 more of February come late: 14 by March, 4 x 2 EUR in March."""
    ten_free = {"model": "per_unit", "unit_amount": "2", "free_units": "10", "currency": "EUR"}
    start_on = date(2026, 2, 1)
    yearly = item("free", TOKENS, price(ten_free), anchor_on=start_on, allowance_months=12)
    await desk.sign(account(), subscription(yearly))
    await desk.hand_in(desk.usage("1", MARCH_10, data={"tokens": "8"}))
    await desk.tick(APRIL)
    await desk.hand_in(desk.usage("2", FEBRUARY_10, data={"tokens": "6"}, watermark_at=APRIL))
    await desk.tick(APRIL_2)
    assert await stated(desk) == {
        ("free", "2026-02-01"): (2, Decimal(6), 0),
        ("free", "2026-03-01"): (2, Decimal(8), 800),
    }


async def test_groups_that_are_emptied_are_gone(desk: Desk) -> None:
    await _february(desk, subscription(item("regions", BY_REGION)))
    await correct(desk, correction(desk, "c1", "2", None, watermark_at=MARCH))
    await desk.tick(APRIL)
    newest = [one for one in desk.published if one.final and one.revision == 2]
    assert [part.quantities for one in newest for part in one.slices] == [{'{"region":"eu"}': Decimal(1)}]


async def test_a_correction_has_an_identity(desk: Desk) -> None:
    """The same again is a repeat, another payload under its name is refused."""
    await _february(desk)
    first, again, other = (correction(desk, "c1", corrects, None, watermark_at=MARCH) for corrects in ("1", "1", "2"))
    assert await correct(desk, first, again) == []
    assert await correct(desk, other) == ["identity_conflict"]
    await desk.tick(APRIL)
    assert (await stated(desk))["tokens", "2026-02-01"] == (2, Decimal(7), 1400)


@pytest.mark.parametrize(
    ("given", "reason", "text"),
    [
        ({"subject": None}, "unknown_shape", "$.subject"),
        ({"data": {"corrects": {"source": "meter/1", "id": "1"}}}, "unknown_shape", "replacement"),
        ({"data": {"corrects": {"source": "meter/1", "id": ""}, "replacement": None}}, "unknown_shape", "corrects.id"),
        (
            {"data": {"corrects": {"source": "a", "id": "b"}, "replacement": {"id": "x"}}},
            "unknown_shape",
            "$.data.replacement",
        ),
    ],
)
async def test_a_correction_that_cannot_be_read_says_where(
    desk: Desk, given: dict[str, Any], reason: str, text: str
) -> None:
    tx = await desk.hand_in(correction(desk, "c1", "1", None, **given))
    assert reasons(tx) == [reason]
    assert text in tx.rejections[0].message


@pytest.mark.parametrize(
    ("name", "by", "given", "reason", "text"),
    [
        ("1", ("2", "9", {}), {}, "identity_conflict", "give it an id of its own (at $.data.replacement.id)"),
        ("1", None, {"subject": "AA"}, "unknown_shape", "is of account UA, not of AA"),
        ("1", ("x", "y", {}), {}, "not_a_number", "$.data.replacement"),
    ],
)
async def test_a_correction_that_cannot_be_goes_to_the_dead_letters_with_its_reason(
    desk: Desk, name: str, by: Any, given: dict[str, Any], reason: str, text: str
) -> None:
    await _february(desk)
    await desk.sign(account("AA", salesforce_id="001AA0000000002YAA"))
    replaced = None if by is None else replacement(by[0], by[1], **by[2])
    await desk.hand_in(correction(desk, "c1", name, replaced, watermark_at=MARCH, **given))
    tx = desk.transaction()
    async with desk.connection.transaction():
        await desk.agent.flush(tx)
    assert reasons(tx) == [reason]
    assert text in tx.rejections[0].message
    assert await desk.parked() == []


async def test_a_replacement_of_an_unknown_account_waits_for_it_and_the_event_counts_until_then(desk: Desk) -> None:
    await _february(desk)
    await correct(desk, correction(desk, "c1", "1", replacement("1b", "5", subject="AA"), watermark_at=MARCH))
    assert await desk.parked() == ["AA"]
    await desk.tick(APRIL)
    assert (await stated(desk))["tokens", "2026-02-01"] == (1, Decimal(12), 2400)
    await desk.sign(
        account("AA", salesforce_id="001AA0000000002YAA"),
        subscription(item("other", TOKENS), account_id="AA"),
        watermark_at=APRIL,
    )
    await desk.tick(APRIL_2)
    found = await stated(desk)
    assert found["tokens", "2026-02-01"] == (2, Decimal(7), 1400)
    assert found["other", "2026-02-01"][1:] == (Decimal(5), 1000)


async def test_an_item_that_could_not_be_rated_is_rated_when_its_usage_is_corrected(desk: Desk) -> None:
    """-50 in March by mistake: no statement. Voided: 11 tokens."""
    await _february(desk)
    await desk.hand_in(desk.usage("4", MARCH_10, data={"tokens": "-50"}, watermark_at=MARCH))
    await desk.tick(APRIL)
    assert ("tokens", "2026-03-01") not in await stated(desk)
    await correct(desk, correction(desk, "c1", "4", None, watermark_at=APRIL))
    await desk.tick(APRIL_2)
    assert (await stated(desk))["tokens", "2026-03-01"] == (1, Decimal(11), 2200)


async def test_a_correction_that_the_database_refuses_is_a_dead_letter_and_the_others_go_on(desk: Desk) -> None:
    await _february(desk)
    await desk.connection.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'numeric_value_out_of_range'; END $$; "
        "CREATE TRIGGER refuse BEFORE INSERT ON usage.correction FOR EACH ROW "
        "WHEN (NEW.id = 'poison') EXECUTE FUNCTION refuse()"
    )
    good = correction(desk, "c1", "1", None, watermark_at=MARCH)
    bad = correction(desk, "poison", "2", None, watermark_at=MARCH)
    assert await correct(desk, good, bad) == ["rejected_by_database"]
    await desk.tick(APRIL)
    assert (await stated(desk))["tokens", "2026-02-01"] == (2, Decimal(7), 1400)


async def test_a_correction_whose_names_no_index_holds_is_refused_when_it_comes(desk: Desk) -> None:
    """No index of Postgres takes a key of 9,000 characters."""
    await _february(desk)
    endless = "".join(random.Random(1).choices("0123456789abcdef", k=9000))
    tx = await desk.hand_in(correction(desk, endless, "2", None), correction(desk, "c1", endless, None))
    assert reasons(tx) == ["unknown_shape"] * 2
    assert "(at $.data.corrects.id)" in tx.rejections[1].message
