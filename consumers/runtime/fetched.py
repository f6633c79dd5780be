"""What the bulk runner has fetched and not yet applied: slices that grow while the database works.

Place     runner_bulk -> [this] -> feed. No I/O.
Bounded   by records and bytes, so a burst of millions of queued events takes no more memory than a large batch.
Generation of the assignment under which it was fetched: what an earlier one fetched is thrown away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fakturo.consumers.runtime.cursor import Place
from fakturo.consumers.runtime.records import Slice


@dataclass(slots=True)
class Fetched:
    """Slices of one assignment, at most one a partition, each without a hole."""

    generation: int
    by_place: dict[Place, Slice] = field(default_factory=dict)
    record_count: int = 0
    byte_count: int = 0

    def add(self, slices: Sequence[Slice]) -> None:
        """Add what was fetched after what is here."""
        for found in slices:
            before = self.by_place.get(found.place)
            if before is not None:
                found = replace(found, start_offset=before.start_offset, records=[*before.records, *found.records])
            self.by_place[found.place] = found
        for found in slices:
            self.record_count += len(found.records)
            self.byte_count += sum(len(record.value) for record in found.records if record.value is not None)

    def is_full(self, records_max: int, bytes_max: int) -> bool:
        """Return whether no more is to be fetched before this is applied."""
        return self.record_count >= records_max or self.byte_count >= bytes_max
