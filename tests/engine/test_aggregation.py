"""What a meter makes of single events in a period; every expected value is worked out by hand beside it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.engine.errors import MeterError, PriceError
from fakturo.engine.meters import MeasuredEvent, Meter, aggregate, merge_all, meter_of, rollup_of
from fakturo.engine.periods import Period
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.events.contracts import MeterDefinition

D = Decimal
START = datetime(2026, 8, 1, tzinfo=UTC)
TEN_DAYS = Period(start_at=START, end_at=START + timedelta(days=10))


def meter(aggregation: str, group_by: tuple[str, ...] = ()) -> Meter:
    value = None if aggregation == "count" else "data.value"
    return meter_of(MeterDefinition(code="m", event_type="t", aggregation=aggregation, value=value, group_by=group_by))


def event(day: int, value: str, *dimensions: str) -> MeasuredEvent:
    return MeasuredEvent(at=START + timedelta(days=day), value=D(value), distinct=value, dimensions=dimensions)


# Days 0 to 10 are the period; day -1 and day 10 are outside of it.
EVENTS = [event(-1, "100"), event(2, "4"), event(7, "1"), event(5, "4"), event(10, "100")]


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("count", "3"),
        ("sum", "9"),
        ("max", "4"),
        ("min", "1"),
        ("last", "1"),  # of day 7, although day 5 came later
        ("average", "3"),  # 9 / 3
        ("unique", "2"),  # 4 and 1
        # 100 all ten days, and 4 for eight, 4 for five, 1 for three days of ten: 100 + 3.2 + 2 + 0.3.
        ("weighted_sum", "105.5"),
    ],
)
def test_each_aggregation_in_a_period(aggregation: str, expected: str) -> None:
    assert aggregate(meter(aggregation), EVENTS, TEN_DAYS).quantity == D(expected)


@pytest.mark.parametrize("aggregation", ["count", "sum", "max", "min", "last", "average", "unique", "weighted_sum"])
def test_no_events_give_0(aggregation: str) -> None:
    assert aggregate(meter(aggregation), [], TEN_DAYS).quantity == 0


def test_the_later_in_the_list_is_last_at_the_same_time() -> None:
    assert aggregate(meter("last"), [event(1, "3"), event(1, "2")]).quantity == 2


def test_groups_are_aggregated_by_themselves_and_added() -> None:
    events = [event(1, "3", "JFK"), event(2, "5", "JFK"), event(3, "2", "LGA")]
    usage = aggregate(meter("max", ("origin",)), events, TEN_DAYS)
    assert (usage.quantity, usage.groups) == (7, {("JFK",): 5, ("LGA",): 2})


def test_a_level_that_was_carried_in_holds_the_whole_period() -> None:
    # 6 seats from before; on day 5 two leave: 6 - 2 x 5/10.
    usage = aggregate(meter("weighted_sum"), [event(5, "-2")], TEN_DAYS, {(): D(6)})
    assert usage.quantity == 5


def test_weighing_needs_a_period_and_times() -> None:
    for events, period, code in [
        (EVENTS, None, "period_missing"),
        ([MeasuredEvent(at=None, value=D(1))], TEN_DAYS, "event_time_missing"),
    ]:
        with pytest.raises(PriceError) as caught:
            aggregate(meter("weighted_sum"), events, period)
        assert caught.value.code == code


def test_a_unique_meter_reads_texts_integers_and_truth_values() -> None:
    unique = meter("unique")
    assert [unique.event({"value": value}, START).distinct for value in ("u1", 7, True)] == ["u1", "7", "true"]
    for value, reason in [(None, Reason.VALUE_MISSING), (1.5, Reason.NOT_A_NUMBER), ([], Reason.NOT_A_NUMBER)]:
        with pytest.raises(MeterError) as caught:
            unique.event({"value": value}, START)
        assert caught.value.reason is reason


def test_an_event_carries_its_own_amount_and_its_dimensions() -> None:
    measured = meter("sum", ("origin",)).event({"value": "2", "amount": "19.90", "origin": "JFK"}, START)
    assert (measured.amount, measured.properties) == (D("19.90"), {"origin": "JFK"})


@given(st.lists(st.tuples(st.integers(0, 9), st.decimals(-1000, 1000, places=2)), max_size=20))
def test_events_and_rollups_give_the_same(drawn: list[tuple[int, Decimal]]) -> None:
    events = [MeasuredEvent(at=START + timedelta(days=day), value=value) for day, value in drawn]
    rollup = merge_all([rollup_of(one.value, one.at or START) for one in events])
    for name in ("count", "sum", "max", "min", "last", "average"):
        assert aggregate(meter(name), events, TEN_DAYS).quantity == rollup.quantity(meter(name).aggregation)


@given(
    st.lists(st.tuples(st.integers(-5, 10), st.integers(-9, 9)), max_size=12),
    st.integers(1, 9),
)
def test_a_weighted_sum_is_the_mean_of_its_two_halves(drawn: list[tuple[int, int]], cut: int) -> None:
    """The level that one half ends with is carried into the other; each half weighs as long as it is."""
    events = [MeasuredEvent(at=START + timedelta(days=day), value=D(value)) for day, value in drawn]
    middle = START + timedelta(days=cut)
    first = aggregate(meter("weighted_sum"), events, Period(start_at=START, end_at=middle)).quantity
    second = aggregate(meter("weighted_sum"), events, Period(start_at=middle, end_at=TEN_DAYS.end_at)).quantity
    whole = aggregate(meter("weighted_sum"), events, TEN_DAYS).quantity
    assert abs(whole * 10 - (first * cut + second * (10 - cut))) < D("1e-20")
