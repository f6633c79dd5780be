"""The contracts agent: keeps every CRM record field by field and publishes what can be billed.

Place     `sf.cdc.*`, `billing.catalog` -> [this] -> store; `advance` and `flush` -> publication -> `billing.contracts`.
Time      `advance` publishes all that came before the tick, so a tick of ours says: every contract known by then is on
          the topic. `flush` publishes between ticks in live operation only.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from fakturo.consumers.contracts import counting, drift, snapshots, store
from fakturo.consumers.contracts.accounts import AccountDefaults
from fakturo.consumers.contracts.drift import Drift, drift_of
from fakturo.consumers.contracts.offers import Offers, load_offers
from fakturo.consumers.contracts.price_books import PriceBooks
from fakturo.consumers.contracts.profile import Profile
from fakturo.consumers.contracts.profile_files import load_profile
from fakturo.consumers.contracts.publication import END_OF_TIME, Publication
from fakturo.consumers.contracts.reading import Read, read
from fakturo.consumers.contracts.store import Change, Identified, ObjectGap, SnapshotEnd, UnreadableRow
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.topics import CATALOG


class ContractsAgent:
    """Salesforce records in, accounts and subscriptions out."""

    name = "contracts"

    def __init__(self, settings: Settings, offers: Offers | None = None) -> None:
        self._profile = load_profile(settings.profile)
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
        told = [found for record in changes if (found := read(record, self._profile, tx)) is not None]
        for run in _runs(told):
            await self._take(run, tx)

    async def _take(self, run: Sequence[Read], tx: Transaction) -> None:
        """Take the changes of `run`, then what ends it."""
        fresh = await _claim(run, tx)
        await store.mark_seen(tx.driver, [one.content for one in run if isinstance(one.content, UnreadableRow)])
        changes = [found for found in fresh if isinstance(found, Change)]
        if changes:
            await self._apply(changes, tx)
        gaps = [found for found in fresh if isinstance(found, ObjectGap)]
        await snapshots.keep_gaps(tx.driver, gaps)
        counting.count_gaps(gaps, self._profile, tx)
        for found in fresh:
            if isinstance(found, SnapshotEnd):
                await snapshots.sweep(tx.driver, found, self._profile.roles(found.entity))

    async def _apply(self, changes: Sequence[Change], tx: Transaction) -> None:
        states = await store.lock_records(tx.driver, [change.key for change in changes])
        drifted: list[Drift] = []
        for change in changes:
            state = states[change.key]
            known = bool(state.versions)
            had = state.apply(change.facts, change.committed_ms)
            drifted += drift_of(change, had, self._profile.fields_of(change.entity), known=known)
        await store.save_records(tx.driver, states, changes)
        await drift.keep(tx.driver, drifted)
        counting.count_drift(drifted, self._profile, tx)
        counting.count_unmapped(changes, self._profile, tx)
        await store.save_references(tx.driver, _references(changes, self._profile))
        marks = [(role, one.record_id, one.watermark_at) for one in changes for role in self._profile.roles(one.entity)]
        await store.mark_changed(tx.driver, marks)

    async def advance(self, to: datetime, tx: Transaction) -> bool:
        """Publish a part of what came before the tick `to`; return whether more remains."""
        return await self._publication.step(tx, to)

    async def flush(self, tx: Transaction) -> None:
        """Publish what is known, in live operation; in replay only ticks publish (publication.py, Cuts)."""
        while self._live and await self._publication.step(tx, END_OF_TIME):
            pass


def _runs(told: Sequence[Read]) -> Iterator[list[Read]]:
    """Cut `told` behind each end of a whole reading: what comes after it must not be applied before it."""
    run: list[Read] = []
    for found in told:
        run.append(found)
        if isinstance(found.content, SnapshotEnd):
            yield run
            run = []
    if run:
        yield run


async def _claim(told: Sequence[Read], tx: Transaction) -> list[Identified]:
    """Return what was never taken; count repeats, reject another payload under a known identity."""
    given = [(one.record, one.content) for one in told if not isinstance(one.content, UnreadableRow)]
    first: dict[tuple[str, str], Identified] = {}
    for _, content in given:
        first.setdefault((content.record_id, content.event_id), content)
    known = await store.claim_events(tx.driver, list(first.values())) if first else {}
    fresh: list[Identified] = []
    for record, content in given:
        identity = (content.record_id, content.event_id)
        if first[identity] is content and identity not in known:
            fresh.append(content)
            tx.count(record.topic, "applied")
        elif known.get(identity, first[identity].fingerprint) == content.fingerprint:
            tx.count(record.topic, "duplicate")
        else:
            text = f"event {identity[1]} of record {identity[0]} came before with another content"
            tx.reject(record, Reason.IDENTITY_CONFLICT, text)
    return fresh


def _references(changes: Sequence[Change], profile: Profile) -> list[tuple[str, str, str]]:
    """Return (role, record id, target id) of what the changes point to; an item may be its own subscription."""
    found = [
        (role, change.record_id, change.facts[name])
        for change in changes
        for name, roles in profile.reference_fields(change.entity).items()
        if change.facts.get(name)
        for role in roles
    ]
    if profile.item.is_own_subscription:
        own = [change.record_id for change in changes if change.entity == profile.item.entity]
        found += [("subscription", record_id, record_id) for record_id in own]
    return found
