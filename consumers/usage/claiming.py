"""From records to events that count once: read, matched, identity claimed; what is bad or waits is sorted out.

Place     handler -> [this: reading, matching, store.insert_events] -> folding.
Identity  (`source`, `id`) is unique in the book for ever. The same payload again is a duplicate, another payload is
          rejected. What is rejected or parked never gets here, so it claims no identity and can be sent again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg

from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import store
from fakturo.consumers.usage.accounts import AccountDirectory
from fakturo.consumers.usage.corrected_reading import TO_APPLY, is_reserved, read_correction
from fakturo.consumers.usage.lateness import OpenPeriods
from fakturo.consumers.usage.matching import Counted, match
from fakturo.consumers.usage.reading import IsCorrection, IsRequest, UsageEvent, read_usage
from fakturo.consumers.usage.retention import Retention
from fakturo.consumers.usage.store import Identity
from fakturo.engine.errors import MeterError
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError

Waiting = tuple[Record, str, str]
"""A record to park, the reference that it waits for, and the sentence that says so."""


@dataclass(slots=True)
class Sorted:
    """A batch: what can be counted, in order of arrival, what waits for a contract, and requests to rate again."""

    counted: list[Counted] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    requests: list[Record] = field(default_factory=list)


async def sort_out(
    records: Sequence[Record],
    directory: AccountDirectory,
    open_periods: OpenPeriods,
    retention: Retention,
    tx: Transaction,
) -> Sorted:
    """Read and match `records`; what is bad, or older than what is kept, is rejected."""
    result = Sorted()
    events = _young_enough(_read_all(records, result, tx), retention, tx)
    await directory.load(tx.driver, [event.subject for event in events])
    for event in events:
        account = directory.get(event.subject)
        if account is None and is_reserved(event.subject):
            text = f"subject {event.subject!r} names no account (at $.subject)"
            tx.reject(event.record, Reason.UNKNOWN_SHAPE, text)
            continue
        if account is None:
            result.waiting.append((event.record, event.subject, f"account {event.subject} is not known"))
            continue
        try:
            counted = match(event, account, open_periods)
        except MeterError as error:
            tx.reject(event.record, error.reason, str(error))
            continue
        if counted is None:
            text = f"account {event.subject} has no item whose meter counts {event.type}"
            result.waiting.append((event.record, event.subject, text))
        else:
            result.counted.append(counted)
    return result


def _read_all(records: Sequence[Record], result: Sorted, tx: Transaction) -> list[UsageEvent]:
    """Return the usage events; requests are put by, corrections wait to be applied by themselves (corrected.py)."""
    events: list[UsageEvent] = []
    keep = events.append
    for record in records:
        try:
            keep(read_usage(record))
        except IsCorrection:
            _take_correction(record, result.waiting, tx)
        except SchemaError as error:
            tx.reject(record, error.reason, str(error))
        except IsRequest:
            result.requests.append(record)
    return events


def _take_correction(record: Record, waiting: list[Waiting], tx: Transaction) -> None:
    try:
        read_correction(record)
    except SchemaError as error:
        tx.reject(record, error.reason, str(error))
    else:
        waiting.append((record, TO_APPLY, "a correction of usage: it is applied in a moment"))


def _young_enough(events: list[UsageEvent], retention: Retention, tx: Transaction) -> list[UsageEvent]:
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


async def claim(counted: Sequence[Counted], tx: Transaction) -> list[Counted]:
    """Store the events that are new and return them, in order; count repeats, reject conflicts."""
    first: dict[Identity, Counted] = {}
    for one in counted:
        first.setdefault((one.event.source, one.event.id), one)
    if not first:
        return []
    known = await _known_before(tx.driver, first)
    if not known and len(first) == len(counted):
        return list(counted)
    fresh: list[Counted] = []
    for one in counted:
        identity = (one.event.source, one.event.id)
        if first[identity] is one and identity not in known:
            fresh.append(one)
        elif known.get(identity, first[identity].event.payload_hash) == one.event.payload_hash:
            tx.count(one.event.record.topic, "duplicate")
        else:
            text = (
                f"event {identity[1]!r} of {identity[0]!r} came before with another payload; give it an id of its own"
            )
            tx.reject(one.event.record, Reason.IDENTITY_CONFLICT, text)
    return fresh


async def _known_before(driver: asyncpg.Connection, first: dict[Identity, Counted]) -> dict[Identity, bytes]:
    """Insert the first of each identity; return the payload hashes of those that were stored before."""
    rows = [first[identity] for identity in sorted(first)]
    known = await store.insert_events(driver, rows)
    return await store.payload_hashes(driver, sorted(known)) if known else {}
