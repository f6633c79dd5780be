"""The flood guard: a fifth of the last 10,000 events, whatever the sizes of the batches that they came in."""

from collections.abc import Sequence

import pytest

from fakturo.consumers.runtime.errors import DeadLetterFlood
from fakturo.consumers.runtime.flood import FloodGuard

Batches = Sequence[tuple[int, int]]
"""(events, dead letters among them)."""


def run(batches: Batches) -> None:
    guard = FloodGuard()
    for event_count, rejected_count in batches:
        guard.check(event_count, rejected_count)
        guard.add(event_count, rejected_count)


@pytest.mark.parametrize("size", [1, 10, 500, 3_000, 10_000, 15_000, 25_000])
def test_a_tenth_never_stops_it_and_more_than_a_fifth_does(size: int) -> None:
    run([(size, size // 10)] * 40)
    with pytest.raises(DeadLetterFlood):
        run([(size, -(-size // 3))] * 10_000)


def test_a_large_batch_before_a_smaller_one_counts_by_its_share() -> None:
    run([(25_000, 2_500), (15_000, 1_500), (25_000, 2_500), (4_000, 400)])  # a tenth throughout


def test_a_large_clean_batch_does_not_hide_a_bad_one() -> None:
    with pytest.raises(DeadLetterFlood, match="3000 of the last 10000 events"):
        run([(25_000, 0), (5_000, 3_000)])
