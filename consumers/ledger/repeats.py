"""Repeats told from conflicts: the same identity and payload is ignored, with another payload it is rejected.

Place     handler -> [this] -> store (which claims the keys) -> what is fresh goes on.
"""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from fakturo.consumers.ledger.reading import CreditEntry, DocumentEntry, InvoiceEntry, PaymentEntry
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.dead_letters import DeadLetterReason as Reason

Entry = TypeVar("Entry", InvoiceEntry, DocumentEntry, PaymentEntry, CreditEntry)
Key = TypeVar("Key", bound=Hashable)


async def distinct(
    entries: Sequence[Entry],
    key_of: Callable[[Entry], Key],
    claim: Callable[[Iterable[Entry]], Awaitable[Mapping[Key, bytes]]],
    tx: Transaction,
) -> tuple[list[Entry], list[Entry]]:
    """Return (fresh, rejected) of `entries`; repeats are counted.

    `claim` takes the first entry of each key and returns the keys that were there before, with their digest.
    """
    first: dict[Key, Entry] = {}
    for entry in entries:
        first.setdefault(key_of(entry), entry)
    known = await claim(first.values())
    fresh: list[Entry] = []
    rejected: list[Entry] = []
    for entry in entries:
        key = key_of(entry)
        if entry is first[key] and key not in known:
            fresh.append(entry)
        elif known.get(key, first[key].identity.digest) == entry.identity.digest:
            tx.count(entry.record.topic, "duplicate")
        else:
            rejected.append(entry)
            tx.reject(entry.record, Reason.IDENTITY_CONFLICT, f"{key!r} was booked before with another payload")
    return fresh, rejected
