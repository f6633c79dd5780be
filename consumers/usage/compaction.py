"""Small segments become large ones: a trickle leaves a segment a batch, and an account is to be found fast.

Place     handler.flush -> [this] -> segment_store. A bounded part each time, in the flush's own transaction.
Exact     the same events in other segments, in one transaction. Identities go on naming the segment that their event
          came in; `usage.segment_merged` says what took its place.
Ends      at least `SEGMENTS_MIN` become at most a quarter as many: what is small is merged again until it is not.
"""

from dataclasses import dataclass, field

import asyncpg

from fakturo.consumers.usage import segment_store
from fakturo.consumers.usage.segment_store import Segment, SegmentNumbers
from fakturo.consumers.usage.segments import Bucket, PackedEvent, bucket_bits, bucket_number, merge, month_number, sort

SMALL_EVENTS = 64
SEGMENTS_MIN = 32
SEGMENTS_MAX = 500


@dataclass(slots=True)
class Compaction:
    """Merges small segments of one month at a time."""

    numbers: SegmentNumbers = field(default_factory=SegmentNumbers)

    async def run(self, driver: asyncpg.Connection) -> int:
        """Merge up to `SEGMENTS_MAX` segments; return how many."""
        taken = await segment_store.take_small(driver, SMALL_EVENTS, SEGMENTS_MIN, SEGMENTS_MAX)
        if not taken:
            return 0
        events = merge(content for _, content in taken)
        sort(events)
        groups = _grouped(events)
        ids = await self.numbers.take(driver, list(groups))
        segments = [Segment(number, bucket, groups[bucket]) for bucket, number in zip(groups, ids, strict=True)]
        await segment_store.save(driver, segments)
        await segment_store.note_merged(driver, [number for number, _ in taken], ids)
        return len(taken)


def _grouped(events: list[PackedEvent]) -> dict[Bucket, list[PackedEvent]]:
    bits, groups = bucket_bits(len(events)), dict[Bucket, list[PackedEvent]]()
    for one in events:
        bucket = Bucket(month_number(one.at), bits, bucket_number(one.account_id, bits))
        groups.setdefault(bucket, []).append(one)
    return groups
