"""Totals as rows of Postgres's binary COPY: what repeats (dimensions, numbers) is encoded once.

Place     folding -> [this] -> store. No I/O.
Order     of the fields: `COLUMNS`, so that what repeats lies together.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from struct import Struct

from fakturo.consumers.runtime.binary_copy import bigint, numeric, row_head, text
from fakturo.consumers.usage.folding import QUARTER_US, QUARTERS_BEFORE, Folded, RollupKey, Total

COLUMNS = (
    "account_id", "meter_id", "dimensions", "event_count", "sum_value", "max_value", "min_value", "last_value",
    "bucket_start_at", "last_at", "recorded_at",
)  # fmt: skip
_REMEMBERED = 20_000
_head = row_head(len(COLUMNS))
_integer = Struct(">ii").pack
_times = Struct(">iqiqiq").pack
_text = lru_cache(_REMEMBERED)(text)
_numeric = lru_cache(_REMEMBERED)(numeric)


def rows_of(totals: Sequence[tuple[RollupKey, Folded]]) -> list[bytes]:
    """Return the rows of totals, which are sorted by key, in parts, to be joined."""
    parts: list[bytes] = []
    beginning, account_before, meter_before = b"", "", -1
    for (account_id, meter_id, quarter, dimensions), folded in totals:
        if account_id != account_before or meter_id != meter_before:
            beginning = _head + text(account_id) + _integer(4, meter_id)
            account_before, meter_before = account_id, meter_id
        if isinstance(folded, Total):
            values, last_us, recorded_us = _values(folded), folded.last_us, folded.recorded_us
        else:
            value, last_us, recorded_us = folded
            values = _once(value)
        quarter_us = (quarter - QUARTERS_BEFORE) * QUARTER_US
        parts += beginning, _text(dimensions), values, _times(8, quarter_us, 8, last_us, 8, recorded_us)
    return parts


@lru_cache(_REMEMBERED)
def _once(value: Decimal) -> bytes:
    """Return the fields of a total of one event: number of events, sum, highest, lowest and last value."""
    return bigint(8, 1) + numeric(value) * 4


def _values(total: Total) -> bytes:
    values = total.sum_value, total.max_value, total.min_value, total.last_value
    return bigint(8, total.event_count) + b"".join(map(_numeric, values))
