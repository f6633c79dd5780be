"""What an event counts for, as a function that is put together once a meter and called once an event.

Place     accounts, when it reads a meter -> [this] -> matching, metering. No I/O.
Meaning   that of the engine's `Meter`, which is asked for everything that is not plain: a value that is a text or an
          integer, a dimension that is a text, both at the top of `data`. What it has said is remembered by the text.
Bounded   so many texts are remembered, then it begins anew: a number's text is the same number for every meter.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

from fakturo.consumers.usage.folding import NO_DIMENSIONS, Count, dimensions_text
from fakturo.engine.decimals import INTEGER_DIGITS_MAX
from fakturo.engine.meters import Aggregation, Meter
from fakturo.engine.money import ONE

TEXTS_MAX = 20_000
"""How many texts are remembered: of numbers, and of the dimensions of the same names."""
_INTEGER_MAX = 10**INTEGER_DIGITS_MAX

_Known = TypeVar("_Known")
_numbers: dict[str, Decimal] = {}
_dimensions: dict[tuple[str, ...], dict[str, str]] = {}

Data = dict[str, Any]
Counter = Callable[[Data], Count | None]


def counter_of(meter_id: int, meter: Meter) -> Counter:
    """Return what says for `data` of an event of the meter's type what it counts for; None where a filter refuses it.

    The function raises MeterError: the value is missing, or is not a number of the price language.
    """
    value_of, dimensions_of = _value_reader(meter), _dimensions_reader(meter)

    def count(data: Data) -> Count:
        return meter_id, dimensions_of(data), value_of(data)

    if not meter.filters:
        return count

    def filtered(data: Data) -> Count | None:
        return count(data) if meter.matches(meter.event_type, data) else None

    return filtered


def _value_reader(meter: Meter) -> Callable[[Data], Decimal]:
    if meter.value_path is None:
        return lambda _: ONE
    if meter.aggregation is Aggregation.UNIQUE or len(meter.value_path) > 1:
        return meter.value
    (key,) = meter.value_path

    def value(data: Data) -> Decimal:
        found = data.get(key)
        if type(found) is str:
            number = _numbers.get(found)
            return _remember(_numbers, found, meter.value(data)) if number is None else number
        if type(found) is int and -_INTEGER_MAX < found < _INTEGER_MAX:
            return Decimal(found)
        return meter.value(data)

    return value


def _dimensions_reader(meter: Meter) -> Callable[[Data], str]:
    if not meter.group_by:
        return lambda _: NO_DIMENSIONS
    known = _dimensions.setdefault(meter.group_by, {})

    def by_step(data: Data) -> str:
        return dimensions_text(meter.group_by, meter.dimensions(data))

    if len(meter.group_paths) > 1 or len(meter.group_paths[0]) > 1:
        return by_step
    ((key,),) = meter.group_paths

    def one(data: Data) -> str:
        found = data.get(key)
        if type(found) is not str:
            return by_step(data)
        text = known.get(found)
        return _remember(known, found, by_step(data)) if text is None else text

    return one


def _remember(known: dict[str, _Known], text: str, value: _Known) -> _Known:
    if len(known) >= TEXTS_MAX:
        known.clear()
    known[text] = value
    return value
