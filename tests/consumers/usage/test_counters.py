"""A counter put together once a meter says what the engine's meter says, event by event, errors included."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakturo.consumers.usage import counting
from fakturo.consumers.usage.counting import counter_of
from fakturo.consumers.usage.folding import dimensions_text
from fakturo.engine.errors import MeterError
from fakturo.engine.meters import meter_of
from fakturo.schemas.events.contracts import MeterDefinition

VALUES = st.one_of(
    st.sampled_from(["1", "1", "0", "007", "12.50", "-3", "", "1e3", "NaN", "x", " 1", "٣", "0.1234567890123"]),
    st.integers(-(10**26), 10**26),
    st.floats(allow_nan=False),
    st.booleans(),
    st.none(),
    st.lists(st.integers(), max_size=1),
    st.fixed_dictionaries({"deep": st.sampled_from(["4", 5, None])}),
)
DATA = st.dictionaries(st.sampled_from(["tokens", "region", "model"]), VALUES)
METERS = st.builds(
    MeterDefinition,
    code=st.just("m"),
    event_type=st.just("t"),
    aggregation=st.sampled_from(["count", "sum", "max", "last", "unique"]),
    value=st.sampled_from(["data.tokens", "tokens", "tokens.deep"]),
    group_by=st.sampled_from([(), ("region",), ("region.deep",), ("region", "model")]),
    filter=st.sampled_from([{}, {"model": ("1", "x")}]),
)


def said(count: Any) -> Any:
    """Return what `count` returns, decimals with their exponent, or what it raises."""
    try:
        found = count()
    except MeterError as error:
        return type(error), error.reason, str(error)
    return found and (*found[:-1], found[-1].as_tuple())


@given(METERS, st.lists(DATA, min_size=1, max_size=5))
def test_a_counter_says_what_its_meter_says(definition: MeterDefinition, events: list[dict[str, Any]]) -> None:
    meter = meter_of(definition)
    counter = counter_of(7, meter)

    def by_meter(data: dict[str, Any]) -> tuple[int, str, Decimal] | None:
        if not meter.matches("t", data):
            return None
        return 7, dimensions_text(meter.group_by, meter.dimensions(data)), meter.value(data)

    for data in [*events, *events]:  # the second time much is remembered
        assert said(lambda data=data: counter(data)) == said(lambda data=data: by_meter(data))


def test_so_many_texts_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "TEXTS_MAX", 10)
    counter = counter_of(1, meter_of(MeterDefinition(code="m", event_type="t", aggregation="sum", value="tokens")))
    for number in range(100):
        assert counter({"tokens": str(number)}) == (1, "{}", Decimal(number))
        assert len(counting._numbers) <= 20_000
    assert len(counting._numbers) <= 10
