"""The functions that SOQL has over a field: of dates (CALENDAR_YEAR and others), and those that leave the value alone.

Place     tree.Call -> [this] -> predicates, ordering, aggregates, rows.
Rules     Dates are read in UTC. toLabel, FORMAT, convertCurrency and convertTimezone give the value itself: the
          sandbox's labels are its values, its user reads every currency as it is and lives in GMT. Fiscal is
          calendar.
Source    SOQL and SOSL Reference, "Date Functions", "toLabel()", "FORMAT()".
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from fakturo.cli.sandbox.metadata import Field
from fakturo.cli.sandbox.rows import Row
from fakturo.cli.sandbox.soql.errors import SoqlError, malformed
from fakturo.cli.sandbox.soql.names import Column, Names, Read
from fakturo.cli.sandbox.soql.tree import Call, Expression, Path

AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "MIN", "MAX", "SUM", "AVG"})
_SAME = frozenset({"TOLABEL", "FORMAT", "CONVERTCURRENCY", "CONVERTTIMEZONE"})
_INT = Field(name="", type="int")
_DATE = Field(name="", type="date")
_DateFunction = Callable[[date], int]
_OF_DATES: dict[str, _DateFunction] = {
    "CALENDAR_YEAR": lambda day: day.year,
    "CALENDAR_QUARTER": lambda day: (day.month + 2) // 3,
    "CALENDAR_MONTH": lambda day: day.month,
    "FISCAL_YEAR": lambda day: day.year,
    "FISCAL_QUARTER": lambda day: (day.month + 2) // 3,
    "FISCAL_MONTH": lambda day: day.month,
    "DAY_IN_MONTH": lambda day: day.day,
    "DAY_IN_WEEK": lambda day: day.isoweekday() % 7 + 1,
    "DAY_IN_YEAR": lambda day: day.timetuple().tm_yday,
    "WEEK_IN_MONTH": lambda day: (day.day + 6) // 7,
    "WEEK_IN_YEAR": lambda day: (day.timetuple().tm_yday + 6) // 7,
}


@dataclass(frozen=True, slots=True)
class Value:
    """What an expression of a query gives: how to read it, the type it has, the column beneath it."""

    read: Read
    field: Field
    column: Column

    @property
    def type(self) -> str:
        """The describe type of its values."""
        return self.field.type


def value_of(expression: Expression, names: Names) -> Value:
    """What a field or a function of one gives. Raises SoqlError for an unknown function, or one that doesn't fit."""
    if isinstance(expression, Path):
        column = names.column(expression)
        return Value(column.read, column.field, column)
    if expression.argument is None or expression.function in AGGREGATES:
        raise malformed(f"{expression.function} isn't allowed here", expression.at)
    inner = value_of(expression.argument, names)
    if expression.function in _SAME:
        return inner
    return _dated(expression, inner)


def _dated(call: Call, inner: Value) -> Value:
    """A function of a date or a datetime."""
    if call.function not in _OF_DATES and call.function not in ("DAY_ONLY", "HOUR_IN_DAY"):
        raise malformed(f"Unknown function '{call.function}'", call.at)
    if inner.type not in ("date", "datetime"):
        sentence = f"field {inner.column.field.name} does not support the function {call.function}"
        raise SoqlError("INVALID_FIELD", sentence, call.at)
    read = inner.read
    if call.function == "DAY_ONLY":
        return Value(_mapped(read, lambda text: text[:10]), _DATE, inner.column)
    if call.function == "HOUR_IN_DAY":
        return Value(_mapped(read, lambda text: int(text[11:13] or "0")), _INT, inner.column)
    of_date = _OF_DATES[call.function]
    return Value(_mapped(read, lambda text: of_date(date.fromisoformat(text[:10]))), _INT, inner.column)


def _mapped(read: Read, turn: Callable[[str], object]) -> Read:
    """Read and turn; null stays null."""

    def mapped(row: Row) -> object:
        text = read(row)
        return None if text is None else turn(text)

    return mapped
