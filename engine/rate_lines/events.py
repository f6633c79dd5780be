"""The events, the meter and the named quantities of a rate line, as usage.

Place     decoded JSON + price + period -> [this] -> Usage.
Events    `quantity`, `amount`, `value` (already extracted), `at`, `properties` (what groups, cells and filters read).
          Without a quantity an event counts its value, and without that 1; for prices of amounts it must have one of
          quantity, value and amount. One with a time outside of the period does not count.
Meter     reads `value`, or `quantity` where that is absent; its `event_type` is not looked at, since events have none
          here, and the path of its `value` not either.
Errors    field_type, field_unknown, number_*, instant_invalid, event_time_missing, event_value_missing,
          event_amount_missing, quantity_negative, and those of meters.
Source    PRICING.md, A meter and `fakturo rate`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from fakturo.engine.decimals import parse_decimal
from fakturo.engine.errors import PriceError
from fakturo.engine.meters import Aggregation, MeasuredEvent, Meter, aggregate, meter_of
from fakturo.engine.money import ONE
from fakturo.engine.periods import Period
from fakturo.engine.prices import Amounts, Price, Usage, UsageEvent, event_usage, peak_usage
from fakturo.engine.prices.reading import Reader
from fakturo.engine.rate_lines.times import read_instant
from fakturo.schemas.events.contracts import MeterDefinition

EVENT_FIELDS = frozenset({"quantity", "amount", "value", "at", "properties"})
_NO_PROPERTIES: Mapping[str, str] = {}


def read_meter(value: object) -> Meter | None:
    """Return the meter of a line, or None where it has none."""
    if value is None:
        return None
    faults: list[PriceError] = []
    fields = Reader(value, "meter", faults, "meter")
    definition = MeterDefinition(
        code=fields.text("code", default="meter"),
        event_type=fields.text("event_type", default="event"),
        aggregation=fields.text("aggregation"),
        value=fields.text("value", default="value"),
        group_by=fields.texts("group_by"),
        filter=_filter(fields.reader("filter")),
    )
    fields.finish("a meter")
    if faults:
        raise faults[0]
    return meter_of(definition)


def read_events(value: object, meter: Meter | None, price: Price, zone: str) -> Sequence[MeasuredEvent]:
    """Return the events of a line, in its order; those too that the meter's filter will not let pass."""
    if not isinstance(value, list):
        raise PriceError("field_type", "events is not a list", "events")
    events = [_event(one, f"events[{index}]", meter, price, zone) for index, one in enumerate(value)]
    timed = sum(event.at is not None for event in events)
    if 0 < timed < len(events):
        index = next(index for index, event in enumerate(events) if event.at is None)
        raise PriceError(
            "event_time_missing", f"events[{index}].at is missing, and others have it", f"events[{index}].at"
        )
    return events


def usage_of_events(events: Sequence[MeasuredEvent], meter: Meter | None, period: Period | None) -> Usage:
    """Return the usage of events: what the meter makes of those that its filter lets pass, or their sum."""
    if meter is not None:
        return aggregate(meter, [event for event in events if _passes(meter, event.properties)], period)
    return event_usage(
        UsageEvent(quantity=event.value, amount=event.amount, at=event.at, properties=event.properties)
        for event in events
        if period is None or event.at is None or period.contains(event.at)
    )


def refuse_negative(events: Sequence[MeasuredEvent], documents: Sequence[Mapping[str, object]]) -> None:
    """Refuse what takes something back although nothing was billed.

    Raises:
        PriceError: `quantity_negative`.
    """
    for index, (event, document) in enumerate(zip(events, documents, strict=True)):
        for field, number in (("quantity", event.value), ("amount", event.amount)):
            if number is not None and number < 0 and document.get(field) is not None:
                path = f"events[{index}].{field}"
                raise PriceError("quantity_negative", f"{path} {number:f} is below 0, and nothing was billed", path)


def read_quantities(value: object, path: str) -> Usage:
    """Return named quantities, one object or a list of them by time."""
    readings = value if isinstance(value, list) else [value]
    peaks = []
    for index, reading in enumerate(readings):
        where = f"{path}[{index}]" if isinstance(value, list) else path
        if not isinstance(reading, Mapping):
            raise PriceError("field_type", f"{where} {reading!r} is not an object of quantities", where)
        peaks.append({name: parse_decimal(one, f"{where}.{name}") for name, one in reading.items()})
    return peak_usage(peaks)


def _filter(fields: Reader) -> dict[str, tuple[str, ...]]:
    return {name: fields.texts(name) for name in fields.names()}


def _passes(meter: Meter, properties: Mapping[str, str]) -> bool:
    return all(properties.get(".".join(path), "") in allowed for path, allowed in meter.filters)


def _event(value: object, path: str, meter: Meter | None, price: Price, zone: str) -> MeasuredEvent:
    if not isinstance(value, Mapping):
        raise PriceError("field_type", f"{path} {value!r} is not an object", path)
    if not value.keys() <= EVENT_FIELDS:
        name = next(name for name in value if name not in EVENT_FIELDS)
        raise PriceError("field_unknown", f"{path}.{name} is not a field of an event", f"{path}.{name}")
    amount = _number(value, "amount", path)
    properties = _properties(value.get("properties"), f"{path}.properties")
    amounts = price.model.amounts
    if amount is None and amounts is not Amounts.UNREAD:
        has_quantity = value.get("quantity") is not None or value.get("value") is not None
        if amounts is Amounts.REQUIRED or not has_quantity:
            raise PriceError("event_amount_missing", f"{path}.amount is missing", f"{path}.amount")
    number, distinct = _value(value, path, meter)
    return MeasuredEvent(
        at=_at(value.get("at"), path, zone),
        value=number,
        distinct=distinct,
        dimensions=() if meter is None else tuple(properties.get(".".join(name), "") for name in meter.group_paths),
        amount=amount,
        properties=properties,
    )


def _value(fields: Mapping[str, object], path: str, meter: Meter | None) -> tuple[Decimal, str]:
    """Return what an event counts, and its value as text where the meter counts distinct ones."""
    if meter is None:
        quantity = _number(fields, "quantity", path)
        quantity = _number(fields, "value", path) if quantity is None else quantity
        return (ONE if quantity is None else quantity), ""
    if meter.aggregation is Aggregation.COUNT:
        return ONE, ""
    field = "value" if fields.get("value") is not None else "quantity"
    if meter.aggregation is Aggregation.UNIQUE:
        return ONE, _text(fields.get(field), f"{path}.value")
    number = _number(fields, field, path)
    if number is None:
        raise PriceError("event_value_missing", f"{path}.value is missing", f"{path}.value")
    return number, ""


def _at(value: object, path: str, zone: str) -> datetime | None:
    return None if value is None else read_instant(value, f"{path}.at", zone)


def _number(fields: Mapping[str, object], field: str, path: str) -> Decimal | None:
    value = fields.get(field)
    return None if value is None else parse_decimal(value, f"{path}.{field}", negative=True)


def _properties(value: object, path: str) -> Mapping[str, str]:
    if value is None:
        return _NO_PROPERTIES
    if not isinstance(value, Mapping):
        raise PriceError("field_type", f"{path} {value!r} is not an object", path)
    return {name: "" if one is None else _text(one, f"{path}.{name}") for name, one in value.items()}


def _text(value: object, path: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    if value is None:
        raise PriceError("event_value_missing", f"{path} is missing", path)
    raise PriceError("field_type", f"{path} {value!r} is not a text", path)
