"""The raw events of the book: found by identity, or read back by account, type and time.

Place     whoever needs an event again (corrected usage, new meters, rating from events, `fakturo explain`) -> [this]
          -> identities, segment_store. How events are stored is known there, in segments.py and in claiming.py alone.
Order     by event time, ties by arrival (partition, offset): the order in which `last` and levels are taken.
Memory    of what is read back only the segments whose times overlap are held. One statement reads them: what is merged
          meanwhile (compaction.py) is neither missed nor met twice.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush

import asyncpg

from fakturo.consumers.usage import identities as book
from fakturo.consumers.usage import segment_store
from fakturo.consumers.usage.identities import Identity
from fakturo.consumers.usage.segments import StoredEvent, arrival, unpack

__all__ = ["Found", "Identity", "StoredEvent", "find_events", "find_in", "stored_events"]


@dataclass(slots=True)
class Found:
    """What was found of identities. `gone` are those whose fingerprint is known and whose segment is kept no more."""

    events: dict[Identity, StoredEvent] = field(default_factory=dict)
    gone: set[Identity] = field(default_factory=set)


async def find_events(driver: asyncpg.Connection, identities: Sequence[Identity]) -> dict[Identity, StoredEvent]:
    """Return those of `identities` that are stored."""
    fingerprints = {identity: book.fingerprint(*identity) for identity in identities}
    known = await book.known_segments(driver, set(fingerprints.values()))
    asked = {identity: known[number] for identity, number in fingerprints.items() if number in known}
    return (await find_in(driver, asked)).events


async def find_in(driver: asyncpg.Connection, segment_of: Mapping[Identity, int]) -> Found:
    """Look identities up in the segment of their fingerprint, and where another has that, in one of their own."""
    found = await _find(driver, segment_of)
    missing = segment_of.keys() - found.events.keys()
    if missing:
        collided = await book.collided_segments(driver, missing)
        beside = await _find(driver, collided)
        found.events |= beside.events
        found.gone |= beside.gone
    return found


async def _find(driver: asyncpg.Connection, segment_of: Mapping[Identity, int]) -> Found:
    wanted: dict[int, set[Identity]] = {}
    for identity, segment in segment_of.items():
        wanted.setdefault(segment, set()).add(identity)
    found, kept = Found(), set[int]()
    async for segments, content in segment_store.contents(driver, wanted):
        kept |= segments
        here = set[Identity]().union(*(wanted[one] for one in segments))
        for event in unpack(content):
            identity = (event.source, event.id)
            if identity in here:
                found.events[identity] = event
    for segment in wanted.keys() - kept:
        found.gone |= wanted[segment]
    return found


async def stored_events(
    driver: asyncpg.Connection, account_id: str, types: Sequence[str], from_at: datetime, until_at: datetime
) -> AsyncIterator[StoredEvent]:
    """Yield the account's events of `types` in [from_at, until_at), late ones too, in order."""
    wanted = frozenset(types)
    waiting: list[tuple[tuple[datetime, int, int, Identity], StoredEvent]] = []
    async for min_at, content in segment_store.segments_of(driver, account_id, from_at, until_at):
        while waiting and waiting[0][1].at < min_at:  # nothing earlier is to come
            yield heappop(waiting)[1]
        for event in unpack(content, account_id, wanted):
            if from_at <= event.at < until_at:
                heappush(waiting, ((*arrival(event), (event.source, event.id)), event))
    while waiting:
        yield heappop(waiting)[1]
