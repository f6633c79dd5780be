"""`fakturo bench salesforce`: its parts work on small numbers, and what it reports is what happened."""

from decimal import Decimal
from pathlib import Path

import pytest

from fakturo.cli.bench.salesforce import measure
from fakturo.cli.bench.salesforce_latency import Waiting, percentile_ms
from fakturo.cli.stack import Stack
from fakturo.consumers.runtime.settings import Settings


@pytest.mark.integration
def test_every_part_is_measured(settings: Settings, tmp_path: Path) -> None:
    stack = Stack(tmp_path / "bench")
    try:
        result = measure(stack, 300, 1000, 40)
    finally:
        stack.fresh()
    assert result["command"] == "fakturo bench salesforce --events 300 --rows 1000"
    assert (result["events"], result["latency_changes"], result["snapshot_rows"]) == (300, 40, 1000)
    assert list(result["snapshot_rss_mb"]) == ["10%", "50%", "100%"]
    figures = ("events_per_second", "decode_events_per_second", "cpu_us_per_event", "latency_p50_ms", "peak_rss_mb")
    assert all(result[name] > 0 for name in (*figures, "snapshot_rows_per_second", "snapshot_peak_rss_mb"))
    assert result["latency_bridge_p50_ms"] <= result["latency_p50_ms"] <= result["latency_p99_ms"]
    assert result["versions"]["fakturo"]


def test_a_quantity_that_is_seen_answers_every_change_up_to_it_and_no_later_one() -> None:
    waiting = Waiting()
    for quantity, at in ((2, 10.0), (5, 11.0), (9, 12.0)):
        waiting.expect("item", Decimal(quantity), at)
    waiting.came("another", Decimal(9), 12.5)
    waiting.came("item", Decimal(5), 13.0)
    assert (waiting.seconds, waiting.drained.is_set()) == ([3.0, 2.0], False)
    waiting.came("item", Decimal(9), 14.0)
    assert (waiting.seconds, waiting.drained.is_set()) == ([3.0, 2.0, 2.0], True)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0)])
def test_a_percentile_is_the_nearest_rank(share: float, expected: float) -> None:
    # Of 1 to 100 ms, half are at most 50 ms and 99 % are at most 99 ms.
    assert percentile_ms([number / 1000 for number in range(100, 0, -1)], share) == expected
