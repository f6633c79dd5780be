"""Totals by quarter of an hour, folded in memory over a batch, so that each is written once.

Place     handler, projection -> [this] -> store.add_rollups. No I/O.
Numbers   the caller holds the engine's exact arithmetic (`exact_context`), since a value may have 36 digits.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

from fakturo.consumers.usage.partitions import month_of
from fakturo.engine.errors import MeterError
from fakturo.schemas.codec import encode
from fakturo.schemas.dead_letters import DeadLetterReason as Reason

QUARTER_SECONDS = 900
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIMENSIONS_MAX = 100_000
_STATE = attrgetter("event_count", "sum_value", "last_at", "recorded_at")
_KEY = itemgetter(0)
_ONCE = (None, None, None)

DIMENSIONS_BYTES_MAX = 2000
"""Of a group's JSON: an index of Postgres holds no more. The database would say so too, and a batch would be halved."""

NO_DIMENSIONS = "{}"
"""The dimensions of a meter that does not group."""

Count = tuple[int, str, Decimal]
"""What an event adds to one meter: the meter, the dimensions as canonical JSON, the value."""

RollupKey = tuple[str, int, int, str]
"""Account, meter, quarters of an hour since 1970, dimensions as canonical JSON."""


class Total(msgspec.Struct, gc=False):
    """The running total of one key: the state of the engine's `Rollup`, changed in place."""

    event_count: int
    sum_value: Decimal
    max_value: Decimal
    min_value: Decimal
    last_value: Decimal
    last_at: datetime
    recorded_at: datetime

    def add(self, value: Decimal, at: datetime, recorded_at: datetime) -> None:
        """Count one more event."""
        self.event_count += 1
        self.sum_value += value
        if value > self.max_value:
            self.max_value = value
        elif value < self.min_value:
            self.min_value = value
        if at >= self.last_at:
            self.last_value, self.last_at = value, at
        if recorded_at > self.recorded_at:
            self.recorded_at = recorded_at


@dataclass(frozen=True, slots=True)
class RollupColumns:
    """Totals sorted by key, as columns for the database."""

    rows: Sequence[tuple[RollupKey, Total]]

    def staged(self) -> list[tuple[Any, ...]]:
        """Return one tuple a total, in the order of the staging table (store.py); numbers as text.

        That of a single event, the most frequent, has its value once: each field costs the driver some time.
        """
        records: list[tuple[Any, ...]] = []
        keep = records.append
        for (account_id, meter_id, quarter, dimensions), total in self.rows:
            count, sum_value, last_at, recorded_at = _STATE(total)
            values = _ONCE if count == 1 else (str(total.max_value), str(total.min_value), str(total.last_value))
            keep((account_id, meter_id, quarter, dimensions, count, str(sum_value), last_at, recorded_at, *values))
        return records

    def records(self) -> list[tuple[Any, ...]]:
        """Return one tuple a total, in the order of the columns of `usage.rollup`; numbers as text."""
        return [
            (
                account_id,
                meter_id,
                _quarter_at(quarter),
                dimensions,
                total.event_count,
                str(total.sum_value),
                str(total.max_value),
                str(total.min_value),
                str(total.last_value),
                total.last_at,
                total.recorded_at,
            )
            for (account_id, meter_id, quarter, dimensions), total in self.rows
        ]

    def arrays(self) -> tuple[list[Any], ...]:
        """Return one list a column, in the table's order."""
        return tuple(list(column) for column in zip(*self.records(), strict=True))


@dataclass(slots=True)
class Fold:
    """The totals of one batch."""

    totals: dict[RollupKey, Total] = field(default_factory=dict)

    def add(self, account_id: str, counts: Iterable[Count], at: datetime, recorded_at: datetime) -> None:
        """Count one event; of two at the same time the one added later is the last."""
        quarter = int(at.timestamp()) // QUARTER_SECONDS
        for meter_id, dimensions, value in counts:
            key = (account_id, meter_id, quarter, dimensions)
            total = self.totals.get(key)
            if total is None:
                self.totals[key] = Total(1, value, value, value, value, at, recorded_at)
            else:
                total.add(value, at, recorded_at)

    def columns(self) -> RollupColumns:
        """Return the totals sorted by key."""
        return RollupColumns(sorted(self.totals.items(), key=_KEY))

    def marks(self) -> list[tuple[str, int, datetime]]:
        """Return (account, meter, earliest quarter) of what was touched, sorted."""
        earliest: dict[tuple[str, int], int] = {}
        for account_id, meter_id, quarter, _ in self.totals:
            key = account_id, meter_id
            if earliest.setdefault(key, quarter) > quarter:
                earliest[key] = quarter
        return [
            (account_id, meter_id, _quarter_at(quarter)) for (account_id, meter_id), quarter in sorted(earliest.items())
        ]

    def quarters(self) -> set[tuple[str, int, datetime]]:
        """Return (account, meter, quarter) of all that was touched."""
        return {(account_id, meter_id, _quarter_at(quarter)) for account_id, meter_id, quarter, _ in self.totals}

    def months(self) -> list[int]:
        """Return the months (partitions.month_of) touched, sorted."""
        return sorted({month_of(_quarter_at(key[2])) for key in self.totals})


@lru_cache(maxsize=10_000)
def _quarter_at(quarter: int) -> datetime:
    return _EPOCH + timedelta(seconds=quarter * QUARTER_SECONDS)


_texts: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}


def dimensions_text(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Return the canonical JSON object of a group: {"origin":"JFK"}; {} without groups.

    Raises:
        MeterError: it has more than `DIMENSIONS_BYTES_MAX` bytes.
    """
    text = _texts.get((names, values))
    if text is None:
        encoded = encode(dict(zip(names, values, strict=True)))
        if len(encoded) > DIMENSIONS_BYTES_MAX:
            problem = f"{', '.join(names)} have {len(encoded)} bytes, at most {DIMENSIONS_BYTES_MAX} can be grouped by"
            raise MeterError(Reason.UNKNOWN_SHAPE, problem, f"data.{names[0]}")
        if len(_texts) > _DIMENSIONS_MAX:
            _texts.clear()
        text = _texts[names, values] = encoded.decode()
    return text


def dimensions_values(names: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Return the values of a group in the order of `names`."""
    found = msgspec.json.decode(text, type=dict[str, str])
    return tuple(found[name] for name in names)
