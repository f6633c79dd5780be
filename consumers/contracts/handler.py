"""The contracts agent: keeps every CRM record field by field and publishes what can be billed.

Place     `sf.cdc.*`, `billing.catalog` -> [this] -> store; `advance` and `flush` -> publication -> `billing.contracts`.
Time      `advance` publishes all that came before the tick, so a tick of ours says: every contract known by then is on
          the topic. `flush` publishes between ticks in live operation only.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fakturo.consumers.contracts import store
from fakturo.consumers.contracts.accounts import AccountDefaults
from fakturo.consumers.contracts.offers import Offers, load_offers
from fakturo.consumers.contracts.price_books import PriceBooks
from fakturo.consumers.contracts.profile import Profile, load_profile
from fakturo.consumers.contracts.publication import END_OF_TIME, Publication
from fakturo.consumers.contracts.reducer import check_values, facts_of
from fakturo.consumers.contracts.store import Change
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.codec import encode
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.change_data import decode_change
from fakturo.schemas.salesforce_ids import long_id
from fakturo.schemas.topics import CATALOG


@dataclass(frozen=True, slots=True)
class ReadChange:
    """A record that could be read, and the change that it holds."""

    record: Record
    change: Change


class ContractsAgent:
    """Salesforce records in, accounts and subscriptions out."""

    name = "contracts"

    def __init__(self, settings: Settings, offers: Offers | None = None) -> None:
        self._profile = load_profile()
        found = load_offers(settings.catalog) if offers is None else offers
        self._live = settings.interim_seconds > 0
        self._books = PriceBooks(file_offers=found, profile=self._profile)
        self._publication = Publication(
            profile=self._profile,
            books=self._books,
            defaults=AccountDefaults(timezone=settings.seller_timezone, currency=found.currency),
            by_cuts=not self._live,
        )

    async def handle(self, batch: Sequence[Record], tx: Transaction) -> None:
        """Take price lists; keep what the other records say, field by field; mark what has to be looked at."""
        lists = [record for record in batch if record.topic == CATALOG.name]
        if lists:
            await self._books.take(lists, tx)
        changes = [record for record in batch if record.topic != CATALOG.name]
        read = [found for record in changes if (found := _read(record, self._profile, tx)) is not None]
        fresh = await _claim(read, tx)
        if not fresh:
            return
        states = await store.lock_records(tx.driver, [change.key for change in fresh])
        for change in fresh:
            states[change.key].apply(change.facts, change.committed_ms)
        await store.save_records(tx.driver, states, fresh)
        await store.save_references(tx.driver, _references(fresh, self._profile))
        marks = [(role, change.record_id, change.watermark_at) for change, role in _roles(fresh, self._profile)]
        await store.mark_changed(tx.driver, marks)

    async def advance(self, to: datetime, tx: Transaction) -> bool:
        """Publish a part of what came before the tick `to`; return whether more remains."""
        return await self._publication.step(tx, to)

    async def flush(self, tx: Transaction) -> None:
        """Publish what is known, in live operation; in replay only ticks publish (publication.py, Cuts)."""
        while self._live and await self._publication.step(tx, END_OF_TIME):
            pass


def _read(record: Record, profile: Profile, tx: Transaction) -> ReadChange | None:
    """Return the change that `record` holds; a record that holds none is rejected."""
    try:
        read = decode_change(record.value)
        facts = facts_of(read)
        check_values(facts, read.entity, profile)
        record_id = _long_id(read.recordId, "$.recordId")
        for name in profile.reference_fields(read.entity):
            if facts.get(name):
                facts[name] = _long_id(facts[name], f"$.values.{name}")
    except SchemaError as error:
        tx.reject(record, error.reason, str(error))
        return None
    fingerprint = hashlib.sha256(encode([read.entity, read.changeType, read.commit.ts, facts])).digest()
    change = Change(
        entity=read.entity,
        record_id=record_id,
        event_id=read.eventId or fingerprint.hex(),
        fingerprint=fingerprint,
        facts=facts,
        committed_ms=read.commit.ts,
        committed_at=read.committed_at,
        recorded_at=record.recorded_at,
        watermark_at=record.watermark_at or store.BEGINNING,
    )
    return ReadChange(record, change)


def _long_id(record_id: str, path: str) -> str:
    try:
        return long_id(record_id)
    except ValueError as error:
        raise SchemaError(Reason.UNKNOWN_SHAPE, str(error), path) from error


async def _claim(read: Sequence[ReadChange], tx: Transaction) -> list[Change]:
    """Return the changes that were never applied; count repeats, reject another payload under a known identity."""
    first: dict[tuple[str, str], ReadChange] = {}
    for found in read:
        first.setdefault((found.change.record_id, found.change.event_id), found)
    known = await store.claim_events(tx.driver, [found.change for found in first.values()]) if first else {}
    fresh: list[Change] = []
    for found in read:
        identity = (found.change.record_id, found.change.event_id)
        if first[identity] is found and identity not in known:
            fresh.append(found.change)
            tx.count(found.record.topic, "applied")
        elif known.get(identity, first[identity].change.fingerprint) == found.change.fingerprint:
            tx.count(found.record.topic, "duplicate")
        else:
            text = f"event {identity[1]} of record {identity[0]} came before with another content"
            tx.reject(found.record, Reason.IDENTITY_CONFLICT, text)
    return fresh


def _references(changes: Sequence[Change], profile: Profile) -> list[tuple[str, str, str]]:
    return [
        (role, change.record_id, change.facts[name])
        for change in changes
        for name, role in profile.reference_fields(change.entity).items()
        if change.facts.get(name)
    ]


def _roles(changes: Sequence[Change], profile: Profile) -> list[tuple[Change, str]]:
    """Return the changes of records that we map, each with what the record is to us."""
    found = [(change, profile.role(change.entity)) for change in changes]
    return [(change, role) for change, role in found if role is not None]
