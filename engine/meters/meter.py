"""Meters: which usage events count, and what each counts for.

Place     usage event -> [this] -> rollup, or aggregation of the events -> quantity -> rating.
Names     a dotted path reads `data` of the event: `data.distance` and `distance` are the same. Dimensions are texts;
          a missing one is "". An event's own amount is `data.amount`.
Source    PRICING.md, A meter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from fakturo.engine.decimals import parse_decimal
from fakturo.engine.errors import MeterError, PriceError
from fakturo.engine.meters.rollup import FROM_EVENTS, Aggregation
from fakturo.engine.money import ONE
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.events.contracts import MeterDefinition

AMOUNT = "amount"
"""Where an event's own amount stands in its `data`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What one event counts for: the texts of the meter's `group_by`, in its order, and the value (1 for `count`)."""

    dimensions: tuple[str, ...]
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredEvent:
    """An event that a meter counts: when it was, its value and its dimensions.

    `distinct` is the value as text, which `unique` counts. `amount` is the event's own amount in the major unit, which
    `percentage` and `dynamic` prices read. `properties` are dimension texts by name; the meter's own stand in them too.
    """

    at: datetime | None
    value: Decimal = ONE
    dimensions: tuple[str, ...] = ()
    distinct: str = ""
    amount: Decimal | None = None
    properties: Mapping[str, str] = field(default_factory=dict)


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

    @property
    def needs_events(self) -> bool:
        """Return whether its quantity cannot be had from rollups: `unique` and `weighted_sum`."""
        return self.aggregation in FROM_EVENTS

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

    def event(self, data: Mapping[str, object], at: datetime) -> MeasuredEvent:
        """Return an event that matches as aggregations and prices of single events need it. Raises as `measure`."""
        dimensions = self.dimensions(data)
        return MeasuredEvent(
            at=at,
            value=self.value(data),
            dimensions=dimensions,
            distinct=self._distinct(data) if self.aggregation is Aggregation.UNIQUE else "",
            amount=self._amount(data),
            properties=dict(zip(self.group_by, dimensions, strict=True)),
        )

    def dimensions(self, data: Mapping[str, object]) -> tuple[str, ...]:
        """Return the texts of the meter's `group_by`, in its order."""
        return tuple(_text(_value_at(data, path)) for path in self.group_paths)

    def value(self, data: Mapping[str, object]) -> Decimal:
        """Return the value of one event; 1 for `count` and `unique`. Raises as `measure`."""
        if self.value_path is None:
            return ONE
        if self.aggregation is Aggregation.UNIQUE:
            self._distinct(data)
            return ONE
        return self._number(data, self.value_path)

    def _distinct(self, data: Mapping[str, object]) -> str:
        found, path = self._found(data, self.value_path or ())
        if isinstance(found, bool | str | int):
            return _text(found)
        raise MeterError(Reason.NOT_A_NUMBER, f"meter {self.code} counts values, and {found!r} is no text", path)

    def _amount(self, data: Mapping[str, object]) -> Decimal | None:
        return None if data.get(AMOUNT) is None else self._number(data, (AMOUNT,))

    def _number(self, data: Mapping[str, object], value_path: tuple[str, ...]) -> Decimal:
        found, path = self._found(data, value_path)
        try:
            return parse_decimal(found, path, negative=True)
        except PriceError as error:
            reason = Reason.FLOAT_AMOUNT if error.code == "number_float" else Reason.NOT_A_NUMBER
            raise MeterError(reason, error.message, path) from error

    def _found(self, data: Mapping[str, object], value_path: tuple[str, ...]) -> tuple[object, str]:
        path = ".".join(("data", *value_path))
        found = _value_at(data, value_path)
        if found is None:
            raise MeterError(Reason.VALUE_MISSING, f"meter {self.code} reads a value that is not there", path)
        return found, path


def meter_of(definition: MeterDefinition, path: str = "meter") -> Meter:
    """Return the checked meter.

    Raises:
        PriceError: `aggregation_unknown`, `meter_value_missing`, `meter_path_empty`.
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


def _aggregation_of(name: str, path: str) -> Aggregation:
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
