"""Date literals: TODAY, THIS_MONTH, LAST_N_DAYS:30 and the others, as a stretch of days by the org's clock.

Place     conditions (is it one?), predicates (which days?).
Rules     A period is the days from `start` up to, and without, `end`. `=` asks whether a day lies within, `<` before
          the start, `>` from the end on. Days begin at 00:00 UTC, weeks on Sunday (the sandbox's user lives in GMT
          with the locale en_US); fiscal years are calendar years.
Source    SOQL and SOSL Reference, "Date Formats and Date Literals in WHERE" (what LAST_N, NEXT_N and N_AGO include).
"""

import re
from collections.abc import Callable
from datetime import date, timedelta

from fakturo.cli.sandbox.soql.errors import malformed

Period = tuple[date, date]
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_NAMED = re.compile(r"(LAST|THIS|NEXT)_(?:FISCAL_)?(WEEK|MONTH|QUARTER|YEAR)")
_COUNTED = re.compile(r"(?:(LAST|NEXT)_N_|N_)(?:FISCAL_)?(DAY|WEEK|MONTH|QUARTER|YEAR)S(_AGO)?:(\d{1,6})")
_DAYS = {"YESTERDAY": -1, "TODAY": 0, "TOMORROW": 1}
_NINETY = {"LAST_90_DAYS": "LAST_N_DAYS:90", "NEXT_90_DAYS": "NEXT_N_DAYS:90"}


def is_period(name: str) -> bool:
    """Whether this text, in upper case, is a date literal."""
    counted = _COUNTED.fullmatch(name)
    if counted is not None:
        return (counted[1] is None) == (counted[3] is not None)
    return name in _DAYS or name in _NINETY or _NAMED.fullmatch(name) is not None


def period(name: str, today: date, at: int) -> Period:
    """The days of a date literal. Raises MALFORMED_QUERY if they lie beyond the calendar."""
    try:
        return _period(_NINETY.get(name, name), today)
    except (OverflowError, ValueError):
        raise malformed(f"{name} lies beyond the calendar", at) from None


def _period(name: str, today: date) -> Period:
    """The days, or an error of Python's calendar."""
    if name in _DAYS:
        day = today + timedelta(days=_DAYS[name])
        return day, day + timedelta(days=1)
    named = _NAMED.fullmatch(name)
    if named is not None:
        step = {"LAST": -1, "THIS": 0, "NEXT": 1}[named[1]]
        start = _start(named[2])
        return start(today, step), start(today, step + 1)
    counted = _COUNTED.fullmatch(name)
    assert counted is not None, name  # the parser asked is_period  # noqa: S101
    return _counted(counted[1], counted[2], int(counted[4]), today)


def _counted(direction: str | None, unit: str, count: int, today: date) -> Period:
    """LAST_N (whole units before the current one; days: up to today), NEXT_N (behind the current one), N_AGO."""
    start = _start(unit)
    if direction is None:
        return start(today, -count), start(today, 1 - count)
    if direction == "NEXT":
        return start(today, 1), start(today, 1 + count)
    return start(today, -count), start(today, 1 if unit == "DAY" else 0)


def _start(unit: str) -> Callable[[date, int], date]:
    """The first day of the unit that lies some units from the one that holds a day."""
    if unit == "DAY":
        return lambda day, step: day + timedelta(days=step)
    if unit == "WEEK":
        return lambda day, step: day - timedelta(days=day.isoweekday() % 7) + timedelta(weeks=step)
    months = _MONTHS[unit]

    def first(day: date, step: int) -> date:
        ordinal = (day.year * 12 + day.month - 1) // months * months + step * months
        return date(ordinal // 12, ordinal % 12 + 1, 1)

    return first
