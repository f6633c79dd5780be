"""Meters: which usage events count, what they count for, and totals that can be added up in any order.

Place     usage event -> [this] -> rollup by quarter hour and dimensions -> quantity -> rating.
Names     a dotted path reads `data` of the event: `data.distance` and `distance` are the same. Dimensions are texts;
          a missing one is "".
Holds     merging rollups is associative; in the order of arrival `last` ties go to the later, as if the events had
          been read one by one.
Later     `unique`, `average` and `weighted_sum` are refused with `aggregation_not_supported`.
Source    PRICING.md, A meter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from fakturo.engine.decimals import parse_decimal
from fakturo.engine.errors import MeterError, PriceError
from fakturo.engine.money import EXACT, ONE, ZERO
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.events.contracts import MeterDefinition

QUARTER_HOUR = timedelta(minutes=15)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Aggregation(StrEnum):
    """How values become one quantity; no events give 0."""

    COUNT = "count"
    SUM = "sum"
    MAX = "max"
    MIN = "min"
    LAST = "last"


NOT_YET = frozenset({"unique", "average", "weighted_sum"})
"""Aggregations of the price language that are not built yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What one event counts for: the texts of the meter's `group_by`, in its order, and the value (1 for `count`)."""

    dimensions: tuple[str, ...]
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollup:
    """What any of the five aggregations needs to know of some events; all 0 for none."""

    count: int = 0
    total: Decimal = ZERO
    highest: Decimal = ZERO
    lowest: Decimal = ZERO
    last: Decimal = ZERO
    last_at: datetime = _EPOCH

    def merge(self, later: "Rollup") -> "Rollup":
        """Return both together; of two last values at the same instant that of `later` counts."""
        if not later.count or not self.count:
            return later if later.count else self
        newest = later if later.last_at >= self.last_at else self
        return Rollup(
            count=self.count + later.count,
            total=EXACT.add(self.total, later.total),
            highest=max(self.highest, later.highest),
            lowest=min(self.lowest, later.lowest),
            last=newest.last,
            last_at=newest.last_at,
        )

    def quantity(self, aggregation: Aggregation) -> Decimal:
        """Return the one quantity that `aggregation` makes of it; 0 of no events."""
        by_kind = {
            Aggregation.COUNT: Decimal(self.count),
            Aggregation.SUM: self.total,
            Aggregation.MAX: self.highest,
            Aggregation.MIN: self.lowest,
            Aggregation.LAST: self.last,
        }
        return by_kind[aggregation]


def rollup_of(value: Decimal, at: datetime) -> Rollup:
    """Return the rollup of a single event with this value at the event time `at`."""
    return Rollup(count=1, total=value, highest=value, lowest=value, last=value, last_at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A checked meter, made by `meter_of`. Paths are split and without the leading `data`."""

    code: str
    event_type: str
    aggregation: Aggregation
    value_path: tuple[str, ...] | None
    group_by: tuple[str, ...]
    group_paths: tuple[tuple[str, ...], ...]
    filters: tuple[tuple[tuple[str, ...], frozenset[str]], ...]

    def matches(self, event_type: str, data: Mapping[str, object]) -> bool:
        """Return whether an event of this type with this `data` counts: its type, and every filter holds."""
        return event_type == self.event_type and all(
            _text(_value_at(data, path)) in allowed for path, allowed in self.filters
        )

    def measure(self, data: Mapping[str, object]) -> Measure:
        """Return what an event that matches counts for.

        Raises:
            MeterError: the value is missing, a float, or not a number of the price language.
        """
        return Measure(dimensions=self.dimensions(data), value=self.value(data))

    def dimensions(self, data: Mapping[str, object]) -> tuple[str, ...]:
        """Return the texts of the meter's `group_by`, in its order."""
        return tuple(_text(_value_at(data, path)) for path in self.group_paths)

    def value(self, data: Mapping[str, object]) -> Decimal:
        """Return the value of one event; 1 for `count`. Raises as `measure`."""
        if self.value_path is None:
            return ONE
        path = ".".join(("data", *self.value_path))
        found = _value_at(data, self.value_path)
        if found is None:
            raise MeterError(Reason.VALUE_MISSING, f"meter {self.code} reads a value that is not there", path)
        try:
            return parse_decimal(found, path, negative=True)
        except PriceError as error:
            reason = Reason.FLOAT_AMOUNT if error.code == "number_float" else Reason.NOT_A_NUMBER
            raise MeterError(reason, error.message, path) from error


def meter_of(definition: MeterDefinition, path: str = "meter") -> Meter:
    """Return the checked meter.

    Raises:
        PriceError: `aggregation_not_supported`, `aggregation_unknown`, `meter_value_missing`, `meter_path_empty`.
    """
    aggregation = _aggregation_of(definition.aggregation, f"{path}.aggregation")
    counts = aggregation is Aggregation.COUNT
    if definition.value is None and not counts:
        raise PriceError("meter_value_missing", f"aggregation {aggregation} needs a value to read", f"{path}.value")
    groups = enumerate(definition.group_by)
    return Meter(
        code=definition.code,
        event_type=definition.event_type,
        aggregation=aggregation,
        value_path=None if counts or definition.value is None else _path_of(definition.value, f"{path}.value"),
        group_by=definition.group_by,
        group_paths=tuple(_path_of(name, f"{path}.group_by[{index}]") for index, name in groups),
        filters=tuple(
            (_path_of(name, f"{path}.filter.{name}"), frozenset(allowed))
            for name, allowed in sorted(definition.filter.items())
        ),
    )


def quarter_hour(instant: datetime) -> datetime:
    """Return the start, in UTC, of the quarter of an hour that holds `instant`: the grain of rollups.

    Every zone's offset since 1972 is a multiple of it but for Liberia's (in 1972), so local days and months are whole
    numbers of quarters.
    """
    return _EPOCH + (instant - _EPOCH) // QUARTER_HOUR * QUARTER_HOUR


def merge_all(rollups: Sequence[Rollup]) -> Rollup:
    """Return all together, in this order."""
    total = Rollup()
    for rollup in rollups:
        total = total.merge(rollup)
    return total


def _aggregation_of(name: str, path: str) -> Aggregation:
    if name in NOT_YET:
        raise PriceError("aggregation_not_supported", f"aggregation {name!r} is not supported yet", path)
    try:
        return Aggregation(name)
    except ValueError as error:
        known = ", ".join(Aggregation)
        raise PriceError("aggregation_unknown", f"aggregation {name!r} is none of {known}", path) from error


def _path_of(text: str, path: str) -> tuple[str, ...]:
    parts = tuple(text.removeprefix("data.").split("."))
    if not all(parts):
        raise PriceError("meter_path_empty", f"{text!r} is not a dotted path", path)
    return parts


def _value_at(data: Mapping[str, object], path: tuple[str, ...]) -> object:
    found: object = data
    for name in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found


def _text(value: object) -> str:
    """Return a dimension as text: what JSON would show of it, texts without their quotes."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
