"""Local dates, local times and instants of a rate line, as instants of UTC.

Place     "2026-08-01", "2026-08-01T12:00", "2026-08-01T12:00:00+02:00" + zone -> [this] -> Period, event times.
Rules     a date is its first instant in the zone. A local time that the clock skips is the moment when it skips it; one
          that comes twice is the first. A bound of a stretch that is left out is that of the period.
Source    PRICING.md, Periods.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from fakturo.engine.errors import PriceError
from fakturo.engine.periods import Period, zone_of

_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?P<offset>[Zz]|[+-]\d\d:\d\d)?)?", re.ASCII
)
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
PERIOD_FIELDS = frozenset({"start", "end", "timezone"})
STRETCH_FIELDS = frozenset({"start", "end"})


def read_period(value: object) -> tuple[Period | None, str]:
    """Return the period of a line, and the name of its zone: UTC where none is given.

    Raises:
        PriceError: `field_type`, `field_unknown`, `field_missing`, `zone_unknown`, `instant_invalid`, `period_order`.
    """
    if value is None:
        return None, "UTC"
    fields = _fields(value, "period", PERIOD_FIELDS)
    zone = fields.get("timezone") or "UTC"
    if not isinstance(zone, str):
        raise PriceError("field_type", f"period.timezone {zone!r} is not a text", "period.timezone")
    try:
        zone_of(zone)
    except PriceError as error:
        raise PriceError(error.code, error.message, "period.timezone") from error
    for name in ("start", "end"):
        if fields.get(name) is None:
            raise PriceError("field_missing", f"period.{name} is missing", f"period.{name}")
    return _stretch(fields, "period", zone, None), zone


def read_stretch(value: object, path: str, zone: str, period: Period | None) -> Period | None:
    """Return `active` or `billed_active` of a line; None where it is absent. Raises as `read_period`."""
    if value is None:
        return None
    if period is None:
        raise PriceError("period_missing", f"{path} needs the period that it is a part of", "period")
    return _stretch(_fields(value, path, STRETCH_FIELDS), path, zone, period)


def read_instant(value: object, path: str, zone: str) -> datetime:
    """Return an instant of UTC.

    Raises:
        PriceError: `instant_invalid`.
    """
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        message = f"{path} {value!r} is no date, local time or instant such as 2026-08-01T00:00:00Z"
        raise PriceError("instant_invalid", message, path)
    try:
        read = datetime.fromisoformat(found.group().upper())
        return read.astimezone(UTC) if found["offset"] else local_instant(read, zone)
    except (ValueError, OverflowError) as error:
        raise PriceError("instant_invalid", f"{path} {value!r} is not in the calendar", path) from error


def local_instant(wall: datetime, zone: str) -> datetime:
    """Return, in UTC, the first instant at which a clock on the wall shows `wall` or, where it skips that, more.

    Raises:
        OverflowError: too close to the first or last day of the calendar.
    """
    known = zone_of(zone)
    instant = wall.replace(tzinfo=known).astimezone(UTC)
    if instant.astimezone(known).replace(tzinfo=None) == wall:
        return instant
    low, high = instant - 2 * _DAY, instant + _DAY
    while high - low > _MICROSECOND:
        middle = low + (high - low) // _MICROSECOND // 2 * _MICROSECOND
        if middle.astimezone(known).replace(tzinfo=None) >= wall:
            high = middle
        else:
            low = middle
    return high


def _stretch(fields: Mapping[str, object], path: str, zone: str, period: Period | None) -> Period:
    bounds = []
    for name in ("start", "end"):
        value = fields.get(name)
        if value is None and period is not None:
            bounds.append(period.start_at if name == "start" else period.end_at)
        else:
            bounds.append(read_instant(value, f"{path}.{name}", zone))
    start_at, end_at = bounds
    if end_at <= start_at:
        raise PriceError("period_order", f"{path}.end {fields.get('end')} is not after its start", f"{path}.end")
    return Period(start_at=start_at, end_at=end_at)


def _fields(value: object, path: str, known: frozenset[str]) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise PriceError("field_type", f"{path} {value!r} is not an object", path)
    for name in value:
        if name not in known:
            raise PriceError("field_unknown", f"{path}.{name} is not a field of a period", f"{path}.{name}")
    return value
