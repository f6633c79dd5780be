"""Which meters count the events of an account: read from Postgres once, kept until its contracts change.

Place     projection writes accounts -> [this] -> matching.
Cache     bounded, so memory does not grow with the number of accounts. Every batch asks for the version of the
          contracts, under their shared lock (account_store.py), and drops what changed since. A batch that changes
          contracts takes a directory of its own: if it is rolled back, nothing of it stays.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

import asyncpg

from fakturo.consumers.usage import account_store
from fakturo.consumers.usage.account_store import FoundAccount
from fakturo.consumers.usage.counting import Counter, counter_of
from fakturo.consumers.usage.folding import Count
from fakturo.engine.errors import MeterError
from fakturo.engine.meters import Meter, meter_of
from fakturo.engine.schedule import CALENDAR_MONTHS, Cadence
from fakturo.schemas.events.contracts import AccountVersion

ACCOUNTS_MAX = 50_000
ZONES_APART = timedelta(hours=26)
"""No local midnight is further from that of UTC."""

NEVER_CLOSED = datetime(1, 1, 1, tzinfo=UTC)
"""Of a meter no period of which was stated."""


@dataclass(frozen=True)
class CountingMeter:
    """A meter and its number in the book. `cadence` is that of its items' periods, None for calendar months.

    `count` returns what the data of an event of the meter's type counts for, or None where a filter does not hold; it
    raises MeterError where the value is missing, or is not a number of the price language.
    """

    meter_id: int
    meter: Meter
    cadence: Cadence | None = None
    count: Counter = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", counter_of(self.meter_id, self.meter))

    def count_stored(self, event_type: str, data: dict[str, Any]) -> Count | None:
        """Return what a stored event counts for; nothing where it holds no number: it was right for other meters."""
        if event_type != self.meter.event_type:
            return None
        try:
            return self.count(data)
        except MeterError:
            return None


@dataclass(frozen=True, slots=True)
class AccountMeters:
    """What an event needs to know of its account.

    `by_type` are its meters by the type of the events that they count, `counters` how these count them. `cadences` are
    those of the meters that do not follow the calendar's months. Events of `raw_types` are rated themselves.
    `closed_until` is, by meter, where the stated periods of its items ended when the account was read, and
    `closed_until_at` the last of these: usage before is late, also where its watermark does not tell. No event may be
    before `since_at`. `late_before` remembers, by watermark, what was found of the meters of calendar months.
    """

    account_id: str
    versions: tuple[AccountVersion, ...]
    by_type: dict[str, tuple[CountingMeter, ...]]
    counters: dict[str, tuple[Counter, ...]]
    cadences: dict[int, Cadence]
    raw_types: frozenset[str]
    closed_until: dict[int, datetime] = field(default_factory=dict)
    closed_until_at: datetime = NEVER_CLOSED
    since_at: datetime | None = None
    late_before: dict[datetime | None, datetime] = field(default_factory=dict, repr=False, compare=False)


@dataclass(slots=True)
class AccountDirectory:
    """Accounts by subject: the canonical id or the Salesforce id."""

    version: int = -1
    meters: dict[int, CountingMeter] = field(default_factory=dict)
    known: dict[str, AccountMeters] = field(default_factory=dict)

    def get(self, subject: str) -> AccountMeters | None:
        """Return the account that `subject` names, if `load` was asked for it and found it."""
        return self.known.get(subject)

    async def refresh(self, driver: asyncpg.Connection) -> None:
        """Drop what has changed since the last refresh."""
        version = await account_store.contracts_version(driver)
        if version == self.version:
            return
        if self.known:
            changed = await account_store.accounts_changed_since(driver, self.version)
            self.known = {subject: one for subject, one in self.known.items() if one.account_id not in changed}
        self.version = version

    async def load(self, driver: asyncpg.Connection, subjects: Iterable[str]) -> None:
        """Read the accounts of `subjects` that are not known yet."""
        missing = sorted(set(subjects).difference(self.known))
        if not missing:
            return
        if len(self.known) > ACCOUNTS_MAX:
            self.known.clear()
            missing = sorted(set(subjects))
        rows = await account_store.find_accounts(driver, missing)
        await self._load_meters(driver, {meter_id for row in rows for meter_id in row.meter_ids})
        for row in rows:
            counting = [self.meters[meter_id] for meter_id in sorted(row.meter_ids)]
            by_type: dict[str, tuple[CountingMeter, ...]] = {}
            for one in counting:
                by_type[one.meter.event_type] = (*by_type.get(one.meter.event_type, ()), one)
            cadences = {one.meter_id: one.cadence for one in counting if one.cadence is not None}
            closed = row.closed_until
            self.known[row.subject] = AccountMeters(
                row.account_id,
                row.versions,
                by_type,
                {event_type: tuple(one.count for one in meters) for event_type, meters in by_type.items()},
                cadences,
                row.raw_types,
                closed,
                max(closed.values(), default=NEVER_CLOSED),
                _since(row),
            )

    async def _load_meters(self, driver: asyncpg.Connection, meter_ids: set[int]) -> None:
        missing = sorted(meter_ids - self.meters.keys())
        if missing:
            for meter_id, definition, cadence in await account_store.find_meters(driver, missing):
                other = None if cadence == CALENDAR_MONTHS else cadence
                self.meters[meter_id] = CountingMeter(meter_id, meter_of(definition), other)


def _since(row: FoundAccount) -> datetime | None:
    """Return when the account or its first service began; None while no service is known."""
    if row.service_start_on is None or not row.versions:
        return None
    service_at = datetime.combine(row.service_start_on, time.min, UTC) - ZONES_APART
    return min(service_at, *(version.effective_at for version in row.versions))
