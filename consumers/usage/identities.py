"""Which events are in the book: 64 bits of each identity, unique for ever; the whole identity is looked up on a hit.

Place     claiming, event_store -> [this] -> Postgres `usage.identity`, `usage.identity_collision`.
Unique    the primary key refuses a fingerprint twice, whoever writes it first; nobody looks before. A batch is copied
          in at once, under a savepoint. Where a fingerprint is known, the copy is taken back, the known ones are asked
          for, and the others are copied; the next batches then ask first, as repeats come in runs.
Collision two identities of one fingerprint (at 100 million events: one chance in 3,700 that there is any): the second
          is kept by its full identity in a table of its own.
Order     sorted by fingerprint: two workers wait for each other but never in a ring, and the index is walked once.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct

import asyncpg

from fakturo.consumers.runtime.binary_copy import copy_binary, woven

Identity = tuple[str, str]
"""(`source`, `id`) of a usage event."""

_signed = Struct(">q").unpack

ASK_FIRST_BATCHES = 8
"""After a batch with a known identity so many are asked about before they are copied."""


def fingerprint(source: str, id: str) -> int:  # noqa: A002 - the attribute's own name
    """Return 64 bits of the identity, signed as Postgres has them. A source holds no line feed that could shift."""
    digest = blake2b(f"{len(source)}\n{source}{id}".encode(), digest_size=8).digest()
    number: int = _signed(digest)[0]
    return number


@dataclass(slots=True)
class IdentityBook:
    """Claims fingerprints for one worker; what it remembers makes it faster, never right or wrong."""

    asks_first: int = 0

    async def claim(self, driver: asyncpg.Connection, segment_of: Mapping[int, int]) -> dict[int, int]:
        """Insert the fingerprints, each with its segment; return those that were there, with theirs."""
        known: dict[int, int] = {}
        numbers = sorted(segment_of)
        if self.asks_first:
            self.asks_first -= 1
            known = await known_segments(driver, segment_of)
        while True:
            try:
                async with driver.transaction():
                    await _copy(driver, [one for one in numbers if one not in known] if known else numbers, segment_of)
            except asyncpg.UniqueViolationError:
                known = await known_segments(driver, segment_of)  # committed by now, or the copy had waited
                continue
            if known:
                self.asks_first = ASK_FIRST_BATCHES
            return known


async def _copy(driver: asyncpg.Connection, numbers: Sequence[int], segment_of: Mapping[int, int]) -> None:
    if numbers:
        rows = woven((numbers, [segment_of[one] for one in numbers]))
        await copy_binary(driver, "usage", "identity", [rows], ("fingerprint", "segment_id"))


async def known_segments(driver: asyncpg.Connection, fingerprints: Collection[int]) -> dict[int, int]:
    """Return those of `fingerprints` that are in the book, each with its segment."""
    rows = await driver.fetch(
        "SELECT fingerprint, segment_id FROM usage.identity WHERE fingerprint = ANY($1::bigint[])",
        sorted(fingerprints),
    )
    return {row["fingerprint"]: row["segment_id"] for row in rows}


async def collided_segments(driver: asyncpg.Connection, identities: Collection[Identity]) -> dict[Identity, int]:
    """Return those of `identities` that came second to their fingerprint, each with its segment."""
    asked = sorted(identities)
    rows = await driver.fetch(
        "SELECT source, id, segment_id FROM usage.identity_collision "
        "JOIN unnest($1::text[], $2::text[]) AS asked(source, id) USING (source, id)",
        [one[0] for one in asked],
        [one[1] for one in asked],
    )
    return {(row["source"], row["id"]): row["segment_id"] for row in rows}


async def claim_collided(driver: asyncpg.Connection, segment_of: Mapping[Identity, int]) -> dict[Identity, int]:
    """Insert identities whose fingerprint is another's; return those that were there, each with its segment."""
    rows = sorted(segment_of.items())
    inserted = await driver.fetch(
        "INSERT INTO usage.identity_collision (source, id, segment_id) "
        "SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) ON CONFLICT DO NOTHING RETURNING source, id",
        [one[0] for one, _ in rows],
        [one[1] for one, _ in rows],
        [segment for _, segment in rows],
    )
    fresh = {(row["source"], row["id"]) for row in inserted}
    return await collided_segments(driver, segment_of.keys() - fresh) if len(fresh) < len(rows) else {}
