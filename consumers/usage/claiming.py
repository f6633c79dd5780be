"""From records to events that count once: read, matched, identity claimed; what is bad or waits is sorted out.

Place     handler -> [this: reading, matching, identities, segment_store] -> folding.
Identity  (`source`, `id`) is unique in the book for ever. The same payload again is a duplicate, another payload is
          rejected. What is rejected or parked never gets here, so it claims no identity and can be sent again.
Cost      a batch of new events is two copies: fingerprints, and segments. Payloads are compared only where an identity
          is met again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import segment_store
from fakturo.consumers.usage.accounts import AccountDirectory
from fakturo.consumers.usage.corrected_reading import TO_APPLY, is_reserved, read_correction
from fakturo.consumers.usage.event_store import find_in
from fakturo.consumers.usage.identities import Identity, IdentityBook, claim_collided
from fakturo.consumers.usage.matching import Counted, match
from fakturo.consumers.usage.partitions import ensure_partitions
from fakturo.consumers.usage.reading import IsCorrection, IsRequest, Reader, UsageEvent
from fakturo.consumers.usage.retention import Retention
from fakturo.consumers.usage.segment_store import Segment, SegmentNumbers
from fakturo.consumers.usage.segments import (
    Bucket,
    PackedEvent,
    StoredEvent,
    bucket_bits,
    bucket_number,
    same_payload,
    stored_of,
)
from fakturo.consumers.usage.time_rules import TimeRules
from fakturo.engine.errors import MeterError
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError

Waiting = tuple[Record, str, str]
"""A record to park, the reference that it waits for, and the sentence that says so."""

Planned = tuple[Segment, list[Counted]]
"""A segment to be, and the events that it gets."""


@dataclass(slots=True)
class Sorted:
    """A batch: what can be counted, in order of arrival, and what waits for a contract."""

    counted: list[Counted] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)


async def sort_out(
    events: Sequence[UsageEvent],
    directory: AccountDirectory,
    time_rules: TimeRules,
    retention: Retention,
    tx: Transaction,
) -> Sorted:
    """Match `events`; what is bad, or older than what is kept, is rejected."""
    result = Sorted()
    events = _young_enough(events, retention, tx)
    await directory.load(tx.driver, [event.subject for event in events])
    find = directory.known.get
    for event in events:
        account = find(event.subject)
        if account is None and is_reserved(event.subject):
            text = f"subject {event.subject!r} names no account (at $.subject)"
            tx.reject(event.record, Reason.UNKNOWN_SHAPE, text)
            continue
        if account is None:
            result.waiting.append((event.record, event.subject, f"account {event.subject} is not known"))
            continue
        if (problem := time_rules.problem(event, account)) is not None:
            tx.reject(event.record, Reason.INVALID_TIME, problem)
            continue
        try:
            counted = match(event, account, time_rules.open_periods)
        except MeterError as error:
            tx.reject(event.record, error.reason, str(error))
            continue
        if counted is None:
            text = f"account {event.subject} has no item whose meter counts {event.type}"
            result.waiting.append((event.record, event.subject, text))
        else:
            result.counted.append(counted)
    return result


@dataclass(slots=True)
class Found:
    """What records hold: usage, corrections that wait to be applied (corrected.py), and requests to rate again."""

    events: list[UsageEvent] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    requests: list[Record] = field(default_factory=list)


def read_all(records: Sequence[Record], reader: Reader, tx: Transaction) -> Found:
    """Return what `records` hold; what is nothing is rejected."""
    events, unread = reader.read(records)
    found = Found(events)
    for record, error in unread:
        if isinstance(error, IsCorrection):
            _take_correction(record, found.waiting, tx)
        elif isinstance(error, IsRequest):
            found.requests.append(record)
        else:
            tx.reject(record, error.reason, str(error))
    return found


def _take_correction(record: Record, waiting: list[Waiting], tx: Transaction) -> None:
    try:
        read_correction(record)
    except SchemaError as error:
        tx.reject(record, error.reason, str(error))
    else:
        waiting.append((record, TO_APPLY, "a correction of usage: it is applied in a moment"))


def _young_enough(events: Sequence[UsageEvent], retention: Retention, tx: Transaction) -> Sequence[UsageEvent]:
    if retention.months is None:
        return events
    kept = []
    for event in events:
        text = retention.too_old(event.at, event.record.watermark_at)
        if text is None:
            kept.append(event)
        else:
            tx.reject(event.record, Reason.INVALID_TIME, text)
    return kept


_AT = attrgetter("event.at")


class Claims:
    """Claims and stores the events of one worker; what it remembers makes the next batch cheaper, nothing else."""

    def __init__(self) -> None:
        self._identities = IdentityBook()
        self._numbers = SegmentNumbers()

    async def claim(self, counted: Sequence[Counted], tx: Transaction) -> Sequence[Counted]:
        """Store the events that are new and return them, in order; count repeats, reject conflicts."""
        if not counted:
            return []
        numbers = [one.event.fingerprint for one in counted]
        if len(set(numbers)) == len(numbers):
            planned = await self._plan(counted, tx)
            known = await self._identities.claim(tx.driver, _segment_of(planned))
            if not known:
                await _store(planned, tx)
                return counted
            first = dict(zip(numbers, counted, strict=True))
        else:
            first = dict(zip(reversed(numbers), reversed(counted), strict=True))  # of equal ones the first stays
            planned = await self._plan(list(first.values()), tx)
            known = await self._identities.claim(tx.driver, _segment_of(planned))
        await _store(
            [(segment, [one for one in rows if one.event.fingerprint not in known]) for segment, rows in planned], tx
        )
        suspects = [one for one in counted if one.event.fingerprint in known or first[one.event.fingerprint] is not one]
        repeats = await self._repeats(suspects, first, known, tx)
        return [one for one in counted if id(one) not in repeats]

    async def _plan(self, rows: Sequence[Counted], tx: Transaction) -> list[Planned]:
        """Return the segments that `rows` go into, empty still, each with its rows; their months have partitions."""
        groups = grouped(rows)
        await ensure_partitions(tx.driver, sorted({bucket.month for bucket in groups}))
        ids = await self._numbers.take(tx.driver, list(groups))
        return [(Segment(number, bucket, []), groups[bucket]) for bucket, number in zip(groups, ids, strict=True)]

    async def _repeats(
        self, suspects: Sequence[Counted], first: Mapping[int, Counted], known: Mapping[int, int], tx: Transaction
    ) -> set[int]:
        """Return by `id()` which of `suspects`, whose fingerprint was met before, are no new events.

        Those that are new all the same share the fingerprint of another identity: they are stored here.
        """
        asked = {_identity(one): known[one.event.fingerprint] for one in suspects if one.event.fingerprint in known}
        found = await find_in(tx.driver, asked)
        beside = [first[one.event.fingerprint] for one in suspects if one.event.fingerprint not in known]
        standing = {_identity(one): stored_event(one) for one in beside} | found.events
        collided: dict[Identity, Counted] = {}
        for one in suspects:
            if _identity(one) not in standing and _identity(one) not in found.gone:
                collided.setdefault(_identity(one), one)
        fresh, raced = await self._store_collided(collided, tx)
        standing |= {_identity(one): stored_event(one) for one in fresh} | raced
        new = {id(one) for one in fresh}
        repeats = [one for one in suspects if id(one) not in new]
        for one in repeats:
            _judge(one, standing.get(_identity(one)), tx)
        return {id(one) for one in repeats}

    async def _store_collided(
        self, collided: Mapping[Identity, Counted], tx: Transaction
    ) -> tuple[list[Counted], dict[Identity, StoredEvent]]:
        """Store identities that share a fingerprint; return the new ones, and what was stored of the others."""
        if not collided:
            return [], {}
        planned = await self._plan(list(collided.values()), tx)
        segment_of = {_identity(one): segment.segment_id for segment, rows in planned for one in rows}
        known = await claim_collided(tx.driver, segment_of)
        fresh = [one for identity, one in collided.items() if identity not in known]
        await _store([(segment, [one for one in rows if _identity(one) not in known]) for segment, rows in planned], tx)
        return fresh, (await find_in(tx.driver, known)).events


async def _store(planned: Sequence[Planned], tx: Transaction) -> None:
    for segment, rows in planned:
        segment.events = [_packed(one) for one in rows]
    await segment_store.save(tx.driver, [segment for segment, _ in planned])


def _segment_of(planned: Sequence[Planned]) -> dict[int, int]:
    """Return the segment of each fingerprint."""
    found: dict[int, int] = {}
    for segment, rows in planned:
        found |= dict.fromkeys([one.event.fingerprint for one in rows], segment.segment_id)
    return found


def grouped(rows: Sequence[Counted]) -> dict[Bucket, list[Counted]]:
    """Return `rows` by month, and by as many buckets of accounts as the number of the month's rows allows.

    Those of a bucket are sorted by account and time, as a segment has them.
    """
    groups: dict[Bucket, list[Counted]] = {}
    for month, accounts in _by_account(rows).items():
        bits = bucket_bits(sum(map(len, accounts.values())))
        buckets: dict[int, list[Counted]] = {}
        for account_id in sorted(accounts):
            found = accounts[account_id]
            if len(found) > 1:
                found.sort(key=_AT)  # nearly sorted: as they came
            number = bucket_number(account_id, bits)
            if number in buckets:
                buckets[number] += found
            else:
                buckets[number] = found
        groups |= {Bucket(month, bits, number): found for number, found in buckets.items()}
    return groups


def _by_account(rows: Sequence[Counted]) -> dict[int, dict[str, list[Counted]]]:
    """Return `rows` by month and account."""
    months: dict[int, dict[str, list[Counted]]] = {}
    for one in rows:
        at = one.event.at
        month = at.year * 12 + at.month - 1  # month_number, which would be called for every event
        accounts = months.get(month)
        if accounts is None:
            accounts = months[month] = {}
        found = accounts.get(one.account_id)
        if found is None:
            accounts[one.account_id] = [one]
        else:
            found.append(one)
    return months


def _judge(one: Counted, earlier: StoredEvent | None, tx: Transaction) -> None:
    """Count a repeat, or reject another payload; what is stored no more can only be a repeat."""
    if earlier is None or same_payload(earlier, stored_event(one)):
        tx.count(one.event.record.topic, "duplicate")
        return
    event = one.event
    text = f"event {event.id!r} of {event.source!r} came before with another payload; give it an id of its own"
    tx.reject(event.record, Reason.IDENTITY_CONFLICT, text)


def _identity(one: Counted) -> Identity:
    return one.event.source, one.event.id


def _packed(one: Counted) -> PackedEvent:
    event = one.event
    record = event.record
    return PackedEvent(
        one.account_id,
        event.type,
        event.at,
        event.source,
        event.id,
        event.data,
        record.recorded_at,
        record.partition,
        record.offset,
        bool(one.late_counts),
        record.watermark_at,
    )


def stored_event(one: Counted) -> StoredEvent:
    """Return an event as it will be stored."""
    return stored_of(_packed(one))
