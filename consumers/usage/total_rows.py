"""Totals as rows of Postgres's binary COPY: what repeats (dimensions, numbers) is encoded once.

Place     folding -> [this] -> store. No I/O.
Order     of the fields: the columns of `usage.rollup`.
"""

from decimal import Decimal
from functools import lru_cache
from struct import Struct

from fakturo.consumers.runtime.binary_copy import bigint, microseconds, numeric, row_head, text
from fakturo.consumers.usage.folding import MeterTotals, Total, quarter_us

COLUMNS = (
    "account_id", "meter_id", "bucket_start_at", "dimensions", "event_count", "sum_value", "max_value", "min_value",
    "last_value", "last_at", "recorded_at",
)  # fmt: skip
_REMEMBERED = 20_000
_head = row_head(len(COLUMNS))
_integer = Struct(">ii").pack
_times = Struct(">iqiq").pack
_text = lru_cache(_REMEMBERED)(text)
_numeric = lru_cache(_REMEMBERED)(numeric)


def rows_of(meter: MeterTotals) -> list[bytes]:
    """Return the rows of a meter's totals in parts, to be joined."""
    parts: list[bytes] = []
    beginning = _head + text(meter.account_id) + _integer(4, meter.meter_id)
    for (quarter, dimensions), folded in meter.totals:
        if isinstance(folded, Total):
            values, last_us, recorded_at = _values(folded), folded.last_us, folded.recorded_at
        else:
            value, last_us, recorded_at = folded
            values = _once(value)
        parts += (
            beginning,
            bigint(8, quarter_us(quarter)),
            _text(dimensions),
            values,
            _times(8, last_us, 8, microseconds(recorded_at)),
        )
    return parts


@lru_cache(_REMEMBERED)
def _once(value: Decimal) -> bytes:
    """Return the fields of a total of one event: number of events, sum, highest, lowest and last value."""
    return bigint(8, 1) + numeric(value) * 4


def _values(total: Total) -> bytes:
    values = total.sum_value, total.max_value, total.min_value, total.last_value
    return bigint(8, total.event_count) + b"".join(map(_numeric, values))
