"""Which event a correction is of, and whether it stands: chains of corrections, resolved to their first event.

Place     corrected -> [this] -> exchanging.
Root      `corrects` names an event or the replacement of an earlier correction; either leads to one root.
Stands    of all corrections of a root the one with the greatest (time, source, id), in whatever order they come. So
          what counts in the end does not depend on the order, and neither on which of a chain a correction names.
Refused   a correction that names another account than its event has, or a replacement that is stored already or whose
          time no event may have; one of what counts in a month that has retired.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import corrected_store
from fakturo.consumers.usage.claiming import Waiting
from fakturo.consumers.usage.corrected_reading import Correction
from fakturo.consumers.usage.corrected_store import Standing
from fakturo.consumers.usage.event_store import Identity, StoredEvent, find_events
from fakturo.consumers.usage.exchanging import Bound, Exchange
from fakturo.engine.errors import MeterError
from fakturo.schemas.dead_letters import DeadLetterReason as Reason


@dataclass(slots=True)
class Chains:
    """What is known of the events and corrections that some corrections are about."""

    corrections: Sequence[Correction]
    payloads: dict[Identity, bytes] = field(default_factory=dict)
    roots: dict[Identity, Identity] = field(default_factory=dict)
    standing: dict[Identity, Standing] = field(default_factory=dict)
    events: dict[Identity, StoredEvent] = field(default_factory=dict)

    @classmethod
    async def load(cls, corrections: Sequence[Correction], driver: asyncpg.Connection) -> "Chains":
        """Read what is stored of the events and corrections that `corrections` name."""
        named = sorted({one.corrects for one in corrections})
        payloads = await corrected_store.payload_hashes(driver, sorted({one.identity for one in corrections}))
        roots = await corrected_store.roots_of(driver, named)
        standing = await corrected_store.standing_of(driver, sorted({*named, *roots.values()}))
        replaced = [replacement for _, _, replacement in standing.values() if replacement is not None]
        own = [(one.replacement.source, one.replacement.id) for one in corrections if one.replacement is not None]
        events = await find_events(driver, sorted({*named, *roots.values(), *replaced, *own}))
        return cls(corrections, payloads, roots, standing, events)

    def subjects(self) -> list[str]:
        """Return the accounts that are spoken of, as they are named."""
        names: set[str] = {event.account_id for event in self.events.values()}
        names |= {one.subject for one in self.corrections}
        names |= {one.replacement.subject for one in self.corrections if one.replacement is not None}
        return sorted(names)

    def bind(self, one: Correction, exchange: Exchange, waiting: list[Waiting], tx: Transaction) -> bool:
        """Have `one` exchange what counts, or refuse it, or let it wait; return False if its event has not come."""
        if one.identity in self.payloads:
            self._repeat(one, tx)
            return True
        event = self.events.get(one.corrects)
        if event is None:
            return False
        missing = self._missing_account(one, exchange)
        if missing is not None:
            waiting.append(missing)
            return True
        refusal = self._refusal(one, event, exchange)
        if refusal is not None:
            tx.reject(one.record, *refusal)
            return True
        self._bind(one, event, exchange, waiting, tx)
        return True

    def _bind(
        self, one: Correction, event: StoredEvent, exchange: Exchange, waiting: list[Waiting], tx: Transaction
    ) -> None:
        root = self.roots.get(one.corrects, one.corrects)
        before = self.standing.get(root)
        counts = self._counting(root)
        stands = before is None or (one.at, one.identity) > before[:2]
        known_at = _latest(one.record.watermark_at, event.watermark_at, self.events.get(root), counts)
        try:
            bound = exchange.bind(one, root, known_at, removed=counts if stands else None, stands=stands)
        except MeterError as error:
            tx.reject(one.record, error.reason, f"{error} (in $.data.replacement)")
            return
        if bound is None:
            subject, event_type = one.replacement.subject, one.replacement.type  # type: ignore[union-attr]
            text = f"account {subject} has no item whose meter counts {event_type}, the type of the replacement"
            waiting.append((one.record, subject, text))
            return
        self._keep(one, root, bound, stands=stands)

    def _counting(self, root: Identity) -> StoredEvent | None:
        """Return the event that counts for `root` now: itself, a replacement, or none."""
        before = self.standing.get(root)
        if before is None:
            return self.events[root]
        return None if before[2] is None else self.events[before[2]]

    def _has_retired(self, one: Correction, exchange: Exchange) -> bool:
        """Return whether what counts now is of a month that has retired, detached by now or not."""
        root = self.roots.get(one.corrects, one.corrects)
        before = self.standing.get(root)
        identity = root if before is None else before[2]
        if identity is None:
            return False
        counts = self.events.get(identity)
        return counts is None or exchange.retention.too_old(counts.at, one.record.watermark_at) is not None

    def _keep(self, one: Correction, root: Identity, bound: Bound, *, stands: bool) -> None:
        self.payloads[one.identity] = one.payload_hash
        replacement = None
        if bound.stored is not None:
            replacement = (bound.stored.source, bound.stored.id)
            self.events[replacement], self.roots[replacement] = bound.stored, root
        if stands:
            self.standing[root] = (one.at, one.identity, replacement)

    def _repeat(self, one: Correction, tx: Transaction) -> None:
        if self.payloads[one.identity] == one.payload_hash:
            tx.count(one.record.topic, "duplicate")
            return
        source, name = one.identity
        text = f"correction {name!r} of {source!r} came before with another payload; give it an id of its own"
        tx.reject(one.record, Reason.IDENTITY_CONFLICT, text)

    def _missing_account(self, one: Correction, exchange: Exchange) -> Waiting | None:
        for subject in (one.subject, one.replacement.subject if one.replacement else one.subject):
            if exchange.directory.get(subject) is None:
                return one.record, subject, f"account {subject} is not known"
        return None

    def _refusal(self, one: Correction, event: StoredEvent, exchange: Exchange) -> tuple[Reason, str] | None:
        """Return why `one` cannot be: what it says, where, and how to mend it."""
        account = exchange.directory.get(one.subject)
        if account is not None and account.account_id != event.account_id:
            text = f"event {event.id!r} of {event.source!r} is of account {event.account_id}, not of {one.subject}: "
            return (
                Reason.UNKNOWN_SHAPE,
                f"{text}correct it under its own account, or name the right event (at $.subject)",
            )
        if one.replacement is not None and (one.replacement.source, one.replacement.id) in self.events:
            text = f"replacement {one.replacement.id!r} of {one.replacement.source!r} is an event that came before: "
            return Reason.IDENTITY_CONFLICT, f"{text}give it an id of its own (at $.data.replacement.id)"
        problem = exchange.time_problem(one.replacement) if one.replacement is not None else None
        if problem is not None:
            return Reason.INVALID_TIME, f"{problem} (at $.data.replacement.time)"
        if self._has_retired(one, exchange):
            text = f"event {event.id!r} of {event.source!r} is of, or was moved to, a month that is kept no more: "
            return Reason.INVALID_TIME, f"{text}bill the difference as a one-time charge (at $.data.corrects)"
        return None


def _latest(*parts: datetime | StoredEvent | None) -> datetime | None:
    """Return the last of the watermarks: when everything that a correction is about was known."""
    known = [part.watermark_at if isinstance(part, StoredEvent) else part for part in parts]
    return max(_instants(known), default=None)


def _instants(values: Iterable[datetime | None]) -> list[datetime]:
    return [value for value in values if value is not None]
