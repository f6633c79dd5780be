"""Which events count, for how much, and totals that merge in any grouping."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.errors import MeterError, PriceError
from fakturo.engine.meters import Aggregation, merge_all, meter_of, quarter_hour, rollup_of
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.events.contracts import MeterDefinition
from tests.engine.strategies import instants

AT = datetime(2013, 1, 1, 5, tzinfo=UTC)
MILES = MeterDefinition(
    code="miles",
    event_type="airport.departure",
    aggregation="sum",
    value="data.distance",
    group_by=("origin", "data.plan.tier"),
    filter={"dest": ("IAH", "MIA")},
)


def test_a_matching_event_counts_its_value_in_its_group() -> None:
    meter = meter_of(MILES)
    data = {"origin": "JFK", "dest": "IAH", "distance": "1400.5", "plan": {"tier": 3}}
    assert meter.matches("airport.departure", data)
    measure = meter.measure(data)
    assert (measure.dimensions, measure.value) == (("JFK", "3"), Decimal("1400.5"))


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("airport.cancellation", {"dest": "IAH"}),
        ("airport.departure", {"dest": "ORD"}),
        ("airport.departure", {}),
        ("airport.departure", {"dest": {"code": "IAH"}}),
    ],
)
def test_another_type_or_a_filter_that_does_not_hold_does_not_count(event_type: str, data: dict[str, object]) -> None:
    assert not meter_of(MILES).matches(event_type, data)


def test_missing_dimensions_are_empty_and_truth_values_are_as_json_shows_them() -> None:
    meter = meter_of(MILES)
    assert meter.dimensions({"plan": {"tier": True}}) == ("", "true")
    assert meter.dimensions({"origin": None, "plan": "gold"}) == ("", "")


def test_a_count_reads_no_value() -> None:
    meter = meter_of(MeterDefinition(code="m", event_type="t", aggregation="count", value="data.x"))
    assert meter.value({"x": 1.5}) == 1


@pytest.mark.parametrize(
    ("distance", "reason"),
    [
        (1400.5, Reason.FLOAT_AMOUNT),
        (None, Reason.VALUE_MISSING),
        ("NaN", Reason.NOT_A_NUMBER),
        ("far", Reason.NOT_A_NUMBER),
        ([1], Reason.NOT_A_NUMBER),
        (True, Reason.NOT_A_NUMBER),
    ],
)
def test_an_event_without_a_usable_value_names_its_dead_letter_reason(distance: object, reason: Reason) -> None:
    with pytest.raises(MeterError) as caught:
        meter_of(MILES).value({"distance": distance})
    assert (caught.value.reason, caught.value.path) == (reason, "data.distance")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"aggregation": "unique"}, "meter_value_missing"),
        ({"aggregation": "weighted_sum"}, "meter_value_missing"),
        ({"aggregation": "median"}, "aggregation_unknown"),
        ({"aggregation": "max"}, "meter_value_missing"),
        ({"aggregation": "sum", "value": "data..x"}, "meter_path_empty"),
    ],
)
def test_a_meter_that_cannot_work_is_refused(change: dict[str, str], code: str) -> None:
    with pytest.raises(PriceError) as caught:
        meter_of(MeterDefinition(**{"code": "m", "event_type": "t", "aggregation": "count", **change}))
    assert caught.value.code == code


VALUES = [("2", 0), ("-7", 3), ("5", 3), ("1", 1)]


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [("count", "4"), ("sum", "1"), ("max", "5"), ("min", "-7"), ("last", "5"), ("average", "0.25")],
)
def test_each_aggregation_of_a_few_events(aggregation: str, expected: str) -> None:
    rollup = merge_all([rollup_of(Decimal(value), AT + timedelta(hours=hours)) for value, hours in VALUES])
    assert rollup.quantity(Aggregation(aggregation)) == Decimal(expected)


def test_of_no_events_everything_is_0() -> None:
    merging = [one for one in Aggregation if one not in ("unique", "weighted_sum")]
    assert {merge_all([]).quantity(aggregation) for aggregation in merging} == {0}


events = st.lists(st.tuples(st.decimals(-1000, 1000, places=2), st.integers(0, 5)), min_size=1, max_size=30)


@given(events, st.data())
def test_rollups_merge_in_any_grouping(drawn: list[tuple[Decimal, int]], data: st.DataObject) -> None:
    rollups = [rollup_of(value, AT + timedelta(minutes=minutes)) for value, minutes in drawn]
    cut = data.draw(st.integers(0, len(rollups)))
    assert merge_all(rollups[:cut]).merge(merge_all(rollups[cut:])) == merge_all(rollups)


@given(events)
def test_rollups_agree_with_plain_python(drawn: list[tuple[Decimal, int]]) -> None:
    rollup = merge_all([rollup_of(value, AT + timedelta(minutes=minutes)) for value, minutes in drawn])
    values = [value for value, _ in drawn]
    newest = max(minutes for _, minutes in drawn)
    assert rollup.quantity(Aggregation.SUM) == sum(values)
    assert (rollup.quantity(Aggregation.MAX), rollup.quantity(Aggregation.MIN)) == (max(values), min(values))
    assert rollup.quantity(Aggregation.LAST) == [value for value, minutes in drawn if minutes == newest][-1]


@given(instants)
def test_a_quarter_of_an_hour_starts_at_0_15_30_or_45(instant: datetime) -> None:
    start = quarter_hour(instant)
    assert start <= instant < start + timedelta(minutes=15)
    assert (start.minute % 15, start.second, start.microsecond) == (0, 0, 0)


@pytest.mark.parametrize("month", [1, 7])
def test_local_midnights_of_today_are_quarters_in_every_zone(month: int) -> None:
    midnights = (datetime(2026, month, 1, tzinfo=ZoneInfo(name)) for name in available_timezones())
    assert all(quarter_hour(midnight) == midnight for midnight in midnights)
