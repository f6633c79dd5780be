"""Re-rating: an account's totals of a range taken again from its events, and what was stated of it rated again.

Place     billing.usage -> handler -> [take] -> `usage.rerate_request`; `advance` -> [apply] -> `usage.rollup`,
          `usage.revision_due` -> statements.revise -> the next revision where anything differs.
Alone     a part holds the contracts alone, so no batch adds to totals while they are taken anew. It comes before all
          else that a tick does, in a transaction of its own: nobody holds a row that who waits for that lock may need.
Same      two runs agree: what came late for a meter at a watermark that this tick has not seen waits for its own.
Bounded   `RERATED_EVENTS_MAX` events a call, to the end of a quarter of an hour; a request goes on where it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b

import msgspec

from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import account_store, late_store, rerate_store, store
from fakturo.consumers.usage.accounts import CountingMeter
from fakturo.consumers.usage.corrected_store import current_events
from fakturo.consumers.usage.event_store import StoredEvent
from fakturo.consumers.usage.folding import Fold
from fakturo.consumers.usage.late import BEFORE_ALL_TICKS, Aside
from fakturo.consumers.usage.lateness import OpenPeriods
from fakturo.consumers.usage.partitions import ensure_partitions
from fakturo.consumers.usage.reading import must_be_short
from fakturo.consumers.usage.rerate_store import RerateRequest
from fakturo.engine.meters import meter_of, quarter_hour
from fakturo.engine.money import exact_context
from fakturo.engine.schedule import Cadence
from fakturo.schemas.codec import decode_event, encode
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.envelope import Event
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.contracts import AccountVersion
from fakturo.schemas.events.usage import RerateRequested

RERATED_EVENTS_MAX = 50_000
RANGE_MAX = timedelta(days=800)
"""The longest range that is taken for one: two years and a bit."""
_QUARTER = timedelta(minutes=15)


async def take(records: Sequence[Record], tx: Transaction) -> None:
    """Keep the requests that `records` hold; a repeat is counted, what is bad is rejected."""
    for record in records:
        try:
            event = decode_event(record.value, record.headers)
            must_be_short("source and id", event.source + event.id, "$.id")
        except SchemaError as error:
            tx.reject(record, error.reason, str(error))
            continue
        await _take(record, event, tx)


async def _take(record: Record, event: Event[RerateRequested], tx: Transaction) -> None:
    wanted = event.data
    if (fault := _fault(wanted)) is not None:
        tx.reject(record, Reason.INVALID_TIME, fault)
        return
    if not await rerate_store.is_known(tx.driver, wanted.account):
        text = f"data.account: account {wanted.account} is not known, so there is nothing of it to rate again"
        tx.reject(record, Reason.REFUSED_BY_BOOK, text)
        return
    start_at, end_at = quarter_hour(wanted.period.start), _quarters_end(wanted.period.end)
    payload_hash = blake2b(encode(wanted), digest_size=16).digest()
    known = await rerate_store.save(
        tx.driver,
        RerateRequest(
            source=event.source,
            id=event.id,
            payload_hash=payload_hash,
            account_id=wanted.account,
            start_at=start_at,
            end_at=end_at,
            known_watermark_at=record.watermark_at or BEFORE_ALL_TICKS,
            recorded_at=record.recorded_at,
            totalled_until_at=start_at,
        ),
    )
    if known == payload_hash:
        tx.count(record.topic, "duplicate")
    elif known is not None:
        text = f"request {event.id!r} of {event.source!r} came before with another payload; give it an id of its own"
        tx.reject(record, Reason.IDENTITY_CONFLICT, text)


def _quarters_end(at: datetime) -> datetime:
    """Return the end of the quarter of an hour that holds the instant before `at`."""
    start_at = quarter_hour(at)
    return start_at if start_at == at else start_at + _QUARTER


def _fault(wanted: RerateRequested) -> str | None:
    start_at, end_at = wanted.period.start, wanted.period.end
    if end_at <= start_at:
        return f"data.period: its end {end_at:%Y-%m-%d %H:%MZ} is not after its start {start_at:%Y-%m-%d %H:%MZ}"
    if end_at - start_at > RANGE_MAX:
        days = (end_at - start_at).days
        return f"data.period: {days} days are more than the {RANGE_MAX.days} that one request may ask for"
    return None


async def apply(to: datetime, open_periods: OpenPeriods, tx: Transaction) -> bool:
    """Take a part of the totals anew that were asked for before `to`; return whether there was anything to do."""
    if await rerate_store.next_due(tx.driver, to) is None:
        return False
    await account_store.lock_contracts(tx.driver, alone=True)
    request = await rerate_store.next_due(tx.driver, to)
    if request is None:
        return False  # another worker was faster
    again = _Again(request, to, open_periods)
    await again.read(tx)
    await again.write(tx)
    return True


@dataclass(slots=True)
class _Again:
    """A part of a request: totals of its events from where it was, up to `until_at`."""

    request: RerateRequest
    to: datetime
    open_periods: OpenPeriods
    fold: Fold = field(default_factory=Fold)
    aside: Aside = field(default_factory=Aside)
    until_at: datetime = BEFORE_ALL_TICKS
    meters: list[tuple[CountingMeter, Cadence]] = field(default_factory=list)
    versions: tuple[AccountVersion, ...] = ()

    async def read(self, tx: Transaction) -> None:
        """Total the events as they count now, up to the quarter in which there are enough."""
        account, *_ = await account_store.find_accounts(tx.driver, [self.request.account_id])
        self.versions = account.versions
        found = await account_store.find_meters(tx.driver, account.meter_ids)
        self.meters = [
            (CountingMeter(meter_id, meter_of(definition)), cadence) for meter_id, definition, cadence in found
        ]
        types = sorted({one.meter.event_type for one, _ in self.meters})
        from_at, self.until_at, count = self.request.totalled_until_at, self.request.end_at, 0
        async for event in current_events(tx.driver, account.account_id, types, from_at, self.request.end_at):
            if count >= RERATED_EVENTS_MAX and event.at >= self.until_at:
                break
            count += 1
            if count == RERATED_EVENTS_MAX:
                self.until_at = quarter_hour(event.at) + _QUARTER
            self._add(event)

    def _add(self, event: StoredEvent) -> None:
        data = msgspec.json.decode(event.data)
        for meter, cadence in self.meters:
            count = meter.count_stored(event.type, data)
            if count is None:
                continue
            with exact_context():
                if self._waits(event, cadence):
                    self.aside.add(event.watermark_at, self.request.account_id, (count,), event.at, event.recorded_at)
                else:
                    self.fold.add(self.request.account_id, (count,), event.at, event.recorded_at)

    def _waits(self, event: StoredEvent, cadence: Cadence) -> bool:
        """Return whether the event was late, at a watermark that the tick being worked off has not seen."""
        if event.watermark_at is None or event.watermark_at < self.to:
            return False
        return self.open_periods.is_late(self.versions, event.at, event.watermark_at, cadence)

    async def write(self, tx: Transaction) -> None:
        """Put the totals in the place of those that there were, and have what was stated of them rated again."""
        request = self.request
        before = await rerate_store.forget_totals(
            tx.driver, request.account_id, request.totalled_until_at, self.until_at
        )
        if self.fold.folded:
            await ensure_partitions(tx.driver, self.fold.months())
            await store.add_rollups(tx.driver, self.fold.columns())
        await self.aside.save(tx)
        quarters = sorted(self.fold.quarters().union(before))
        if quarters:
            await late_store.forget_problems(tx.driver, late_store.earliest(quarters))
            await late_store.queue_revisions(tx.driver, quarters)
            await store.mark_dirty(tx.driver, sorted({(account_id, meter_id) for account_id, meter_id, _ in quarters}))
        await rerate_store.queue_stated(tx.driver, request.account_id, request.totalled_until_at, self.until_at)
        await rerate_store.move(tx.driver, request, self.until_at)
