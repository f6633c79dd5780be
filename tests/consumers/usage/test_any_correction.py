"""Random histories of on-time, late, repeated, corrected and voided usage, in any order and batches, on two workers.

The oracle knows nothing of any of that: of each event's corrections it takes the one with the greatest (time, source,
id), and computes quantities and totals by quarter of an hour from the events that are left.
"""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import asyncpg
import pytest

from fakturo.consumers.usage import levels
from fakturo.consumers.usage.handler import UsageAgent
from fakturo.schemas.events.contracts import MeterDefinition
from tests.consumers.usage.conftest import Desk, account, item, price, settings_of, subscription

ACCOUNTS = ("UA", "AA")
JANUARY_1 = date(2026, 1, 1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TICKS = [datetime(2026, month, 1, tzinfo=UTC) for month in range(1, 7)]
PERCENT = {"model": "percentage", "percent": "10", "currency": "EUR"}


def _meter(code: str, aggregation: str, event_type: str = "api.call", **given: Any) -> MeterDefinition:
    value = None if aggregation == "count" else "data.tokens"
    return MeterDefinition(code=code, event_type=event_type, aggregation=aggregation, value=value, **given)


METERS = {
    "sum": _meter("sum", "sum"),
    "regions": _meter("regions", "count", group_by=("region",)),
    "max": _meter("max", "max"),
    "min": _meter("min", "min"),
    "last": _meter("last", "last"),
    "unique": _meter("unique", "unique"),
    "level": _meter("level", "weighted_sum"),
    "batches": _meter("batches", "sum", "api.batch"),
}


@dataclass(frozen=True)
class Used:
    """A usage event of the history."""

    name: str
    account: str
    type: str
    at: datetime
    tokens: int
    region: str

    @property
    def data(self) -> dict[str, str]:
        """Return its data as it is sent."""
        return {"tokens": str(self.tokens), "region": self.region}


@dataclass(frozen=True)
class Corrected:
    """A correction of the event or replacement called `corrects`; `by` None voids it."""

    name: str
    root: str
    corrects: Used
    at: datetime
    by: Used | None


@dataclass
class History:
    """What happened, in no order."""

    chance: random.Random
    used: list[Used] = field(default_factory=list)
    corrected: list[Corrected] = field(default_factory=list)
    seconds: set[int] = field(default_factory=set)

    def event(self, name: str) -> Used:
        """Return an event between January and May, each at a second of its own."""
        second = self.chance.choice([1, 900 * self.chance.randint(0, 14_000)]) + self.chance.randint(0, 899)
        while second in self.seconds:
            second += 1
        self.seconds.add(second)
        return Used(
            name,
            self.chance.choice(ACCOUNTS),
            self.chance.choice(("api.call", "api.call", "api.batch")),
            TICKS[0] + timedelta(seconds=second),
            self.chance.randint(0, 20),
            self.chance.choice(("eu", "us")),
        )

    def live(self) -> None:
        """Make events, then corrections of what is there, of earlier replacements too."""
        self.used = [self.event(f"e{number}") for number in range(50)]
        known = [(one.name, one) for one in self.used]
        for number in range(30):
            root, target = self.chance.choice(known[:12] + known[50:])
            by = self.event(f"r{number}") if self.chance.random() < 0.7 else None
            at = TICKS[0] + timedelta(hours=self.chance.randint(0, 20))
            self.corrected.append(Corrected(f"c{number}", root, target, at, by))
            if by is not None:
                known.append((root, by))

    def left(self) -> list[Used]:
        """Return the events that count in the end."""
        standing: dict[str, Corrected] = {}
        for one in self.corrected:
            before = standing.get(one.root)
            if before is None or (one.at, one.name) > (before.at, before.name):
                standing[one.root] = one
        kept = [one for one in self.used if one.name not in standing]
        return kept + [one.by for one in standing.values() if one.by is not None]


def _quantity(name: str, events: list[Used], before: list[Used], start_at: datetime, end_at: datetime) -> Decimal:
    """Return what the meter called `name` makes of `events`, oldest first; `before` is what came before the period."""
    values = [Decimal(one.tokens) for one in events]
    match name:
        case "sum" | "batches":
            return sum(values, Decimal(0))
        case "regions":
            return Decimal(len(values))
        case "unique":
            return Decimal(len(set(values)))
        case "level":
            length = Decimal((end_at - start_at).total_seconds())
            held = [(one.tokens, max(one.at, start_at)) for one in (*before, *events)]
            return sum((tokens * Decimal((end_at - at).total_seconds()) for tokens, at in held), Decimal(0)) / length
    if not values:
        return Decimal(0)
    return {"max": max(values), "min": min(values), "last": values[-1]}[name]


def _expected_quantities(left: list[Used]) -> dict[tuple[str, str], Decimal]:
    found = {}
    for owner in ACCOUNTS:
        for name, meter in METERS.items():
            own = sorted((e for e in left if e.account == owner and e.type == meter.event_type), key=lambda e: e.at)
            for start_at, end_at in pairwise(TICKS):
                inside = [one for one in own if start_at <= one.at < end_at]
                before = [one for one in own if one.at < start_at]
                found[f"{name}-{owner}", str(start_at.date())] = _quantity(name, inside, before, start_at, end_at)
    return found


def _expected_totals(left: list[Used]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    quarters: dict[tuple[Any, ...], list[Used]] = {}
    for one in sorted(left, key=lambda one: one.at):
        for name, meter in METERS.items():
            if one.type == meter.event_type:
                start_at = one.at - (one.at - EPOCH) % timedelta(minutes=15)
                group = f'{{"region":"{one.region}"}}' if name == "regions" else "{}"
                quarters.setdefault((one.account, name, start_at, group), []).append(one)
    totals = {}
    for key, events in quarters.items():
        name, values = key[1], [one.tokens for one in events]
        extreme = {"max": max(values), "min": min(values), "last": values[-1]}.get(name)
        totals[key] = (len(events), None if name in ("regions", "unique") else sum(values), extreme)
    return totals


_TOTALS = """
SELECT r.account_id, m.code, r.bucket_start_at, r.dimensions, r.event_count,
       CASE WHEN m.code NOT IN ('regions', 'unique') THEN r.sum_value END,
       CASE m.code WHEN 'max' THEN r.max_value WHEN 'min' THEN r.min_value WHEN 'last' THEN r.last_value END
  FROM usage.rollup r JOIN usage.meter m USING (meter_id)
"""


async def _sign(desk: Desk) -> None:
    for owner in ACCOUNTS:
        items = [item(f"{name}-{owner}", meter, service_start_on=JANUARY_1) for name, meter in METERS.items()]
        items.append(item(f"percent-{owner}", METERS["batches"], price(PERCENT), service_start_on=JANUARY_1))
        await desk.sign(account(owner, salesforce_id=f"001{owner:0>15}"), subscription(*items, account_id=owner))


def _record(desk: Desk, one: Used | Corrected, watermark_at: datetime) -> Any:
    if isinstance(one, Used):
        given = {"subject": one.account, "type": one.type, "data": one.data}
        return desk.usage(one.name, one.at.isoformat(), watermark_at=watermark_at, **given)
    replacement = None
    if one.by is not None:
        replacement = {
            "specversion": "1.0",
            "id": one.by.name,
            "source": "meter/1",
            "type": one.by.type,
            "subject": one.by.account,
            "time": one.by.at.isoformat(),
            "data": one.by.data,
        }
    data = {"corrects": {"source": "meter/1", "id": one.corrects.name}, "replacement": replacement}
    given = {"subject": one.corrects.account, "type": "fakturo.usage.corrected.v1", "data": data}
    return desk.usage(one.name, one.at.isoformat(), watermark_at=watermark_at, **given)


async def _work(desk: Desk, stream: list[Any], chance: random.Random) -> None:
    while stream:
        size = chance.choice((1, 5, 30))
        await desk.hand_in(*stream[:size])
        del stream[:size]
        if chance.random() < 0.3:
            await desk.flush()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.usefixtures("copied_however_few")
async def test_whatever_the_order_what_is_stated_in_the_end_is_what_the_events_that_count_come_to(
    connection: asyncpg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(levels, "ROWS_MIN", 0)  # each level is kept
    chance = random.Random(seed)
    other = await asyncpg.connect(database_url)
    desk, second = Desk(connection, UsageAgent(settings_of())), Desk(other, UsageAgent(settings_of()))
    second.offsets = desk.offsets
    history = History(chance)
    history.live()
    messages: list[Used | Corrected] = [*history.used, *history.corrected]
    messages += chance.choices(messages, k=15)  # repeats
    chance.shuffle(messages)
    try:
        await _sign(desk)
        for number, tick in enumerate(TICKS):
            share = messages if tick == TICKS[-1] else messages[: len(messages) // (len(TICKS) - number)]
            watermark_at = TICKS[number - 1] if number else TICKS[0] - timedelta(days=1)
            records = [_record(desk, one, watermark_at) for one in share]
            del messages[: len(share)]
            streams = [records[0::2], records[1::2]]
            await asyncio.gather(_work(desk, streams[0], chance), _work(second, streams[1], chance))
            await desk.tick(tick)
    finally:
        await other.close()
    newest = {}
    for key, one in zip(desk.keys, desk.published, strict=True):
        if one.final:
            newest[one.subscription_item, key.rpartition("/")[2]] = one
    left = history.left()
    expected = _expected_quantities(left)
    assert {key: round(newest[key].quantity, 9) for key in expected} == {
        key: round(quantity, 9) for key, quantity in expected.items()
    }
    for owner in ACCOUNTS:
        for start_at in TICKS[:-1]:
            batches = expected[f"batches-{owner}", str(start_at.date())]
            # 10 % of each event.
            assert newest[f"percent-{owner}", str(start_at.date())].amount_exact == batches / 10
    rows = await connection.fetch(_TOTALS)
    assert {tuple(row)[:4]: tuple(row)[4:] for row in rows} == _expected_totals(left)
    assert await desk.parked() == []
    for table in ("late_rollup", "retotal_due", "revision_due"):
        assert await connection.fetchval(f"SELECT count(*) FROM usage.{table}") == 0
