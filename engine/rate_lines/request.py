"""From the fields of a rate line to a RateRequest.

Place     Fields (decoded, its price read) -> [this] -> rating.
Rules     null is the same as absent. A line has either a quantity or events; neither is zero usage. What was billed is
          told by one of `billed_quantity`, `billed_events` and `billed_quantities`; `billed_events` 0 tells nothing.
Events    of a price that rates events singly must be told as events on both sides: a billed quantity above 0 does not
          say which of them it means. Where a line has a quantity alone, it is one event.
Source    PRICING.md, Already billed and `fakturo rate`.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from fakturo.engine.decimals import parse_decimal
from fakturo.engine.errors import PriceError
from fakturo.engine.meters import MeasuredEvent, Meter
from fakturo.engine.periods import Period
from fakturo.engine.prices import NO_USAGE, Price, Usage, usage_of
from fakturo.engine.rate_lines.events import (
    read_events,
    read_meter,
    read_quantities,
    refuse_negative,
    usage_of_events,
)
from fakturo.engine.rate_lines.times import read_period, read_stretch
from fakturo.engine.rating import RateRequest

BILLED = ("billed_quantity", "billed_events", "billed_quantities")


class Fields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The fields of a line; the price is still JSON text, so that one that was seen before is not read again."""

    id: Any = None
    currency: Any = None
    price: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    quantity: Any = None
    events: Any = None
    meter: Any = None
    quantities: Any = None
    period: Any = None
    active: Any = None
    billed_quantity: Any = None
    billed_events: Any = None
    billed_quantities: Any = None
    billed_active: Any = None
    final: Any = None
    billed_final: Any = None
    unit: Any = None


def request_of_fields(fields: Fields, price: Price) -> RateRequest:
    """Return what to rate.

    Raises:
        PriceError: what is wrong first, with its path in the line.
    """
    if fields.period is None and fields.active is None and fields.billed_active is None:
        period, zone, active, billed_active = None, "UTC", None, None
    else:
        period, zone = read_period(fields.period)
        active = read_stretch(fields.active, "active", zone, period)
        billed_active = read_stretch(fields.billed_active, "billed_active", zone, period)
    usage, billed = _usages(fields, price, period, zone)
    return RateRequest(
        price=price,
        usage=usage,
        billed=billed,
        period=period,
        active=active,
        billed_active=billed_active,
        zone=zone,
        final=_flag(fields.final, "final", default=True),
        billed_final=_flag(fields.billed_final, "billed_final", default=False),
        unit=_unit(fields.unit),
        by_group=True,
    )


def _usages(fields: Fields, price: Price, period: Period | None, zone: str) -> tuple[Usage, Usage | None]:
    """Return what was used, and what of it was billed."""
    if fields.events is None and fields.quantities is None and fields.meter is None:
        return _total(fields), _billed(fields, price, None, None, period)
    given = [name for name in ("quantity", "events", "quantities") if getattr(fields, name) is not None]
    if len(given) > 1:
        raise PriceError("field_conflict", f"{given[1]} cannot be together with {given[0]}", given[1])
    meter = read_meter(fields.meter)
    if fields.events is None:
        usage = _total(fields) if fields.quantities is None else read_quantities(fields.quantities, "quantities")
        return usage, _billed(fields, price, None, meter, period)
    events = read_events(fields.events, meter, price, zone)
    billed = _billed(fields, price, events, meter, period)
    if billed is None:
        refuse_negative(events, fields.events)
    return usage_of_events(events, meter, period), billed


def _total(fields: Fields) -> Usage:
    return NO_USAGE if fields.quantity is None else usage_of(_quantity(fields.quantity, "quantity"))


def _quantity(value: object, path: str) -> Decimal:
    number = parse_decimal(value, path, negative=True)
    if number < 0:
        raise PriceError("quantity_negative", f"{path} {number:f} is below 0", path)
    return number


def _billed(
    fields: Fields, price: Price, events: Sequence[MeasuredEvent] | None, meter: Meter | None, period: Period | None
) -> Usage | None:
    """Return what was billed, None where nothing was."""
    if fields.billed_quantity is None and fields.billed_events is None and fields.billed_quantities is None:
        return None
    given = [name for name in BILLED if getattr(fields, name) is not None]
    if len(given) > 1:
        raise PriceError("field_conflict", f"{given[1]} cannot be together with {given[0]}", given[1])
    if fields.billed_events is not None:
        count = _billed_count(fields.billed_events, events)
        return usage_of_events((events or ())[:count], meter, period) if count else None
    if fields.billed_quantities is not None:
        return read_quantities(fields.billed_quantities, "billed_quantities")
    quantity = _quantity(fields.billed_quantity, "billed_quantity")
    if quantity and events is not None and price.needs_events:
        message = "billed_quantity does not say which events were billed; billed_events does"
        raise PriceError("billed_events_missing", message, "billed_quantity")
    return usage_of(quantity)


def _billed_count(value: object, events: Sequence[MeasuredEvent] | None) -> int:
    count = parse_decimal(value, "billed_events")
    if count != count.to_integral_value():
        raise PriceError("number_not_whole", f"billed_events {count:f} is not a whole number", "billed_events")
    known = len(events or ())
    if count > known:
        raise PriceError(
            "billed_events_range", f"billed_events {count:f} is more than the {known} events", "billed_events"
        )
    return int(count)


def _flag(value: object, path: str, *, default: bool) -> bool:
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    raise PriceError("field_type", f"{path} {value!r} is neither true nor false", path)


def _unit(value: object) -> str:
    if value is None:
        return "units"
    if isinstance(value, str) and value:
        return value
    raise PriceError("field_type", f"unit {value!r} is not a text", "unit")
