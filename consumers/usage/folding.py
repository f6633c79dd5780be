"""Totals by quarter of an hour, folded in memory over a batch, so that each is written once.

Place     handler, projection -> [this] -> total_rows -> store, totals_book. No I/O.
Numbers   the caller holds the engine's exact arithmetic (`exact_context`), since a value may have 36 digits.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any

import msgspec

from fakturo.consumers.runtime.binary_copy import EPOCH, MICROSECOND, microseconds
from fakturo.consumers.usage.partitions import month_of
from fakturo.engine.errors import MeterError
from fakturo.schemas.codec import encode
from fakturo.schemas.dead_letters import DeadLetterReason as Reason

QUARTER_SECONDS = 900
QUARTER_US = QUARTER_SECONDS * 1_000_000
QUARTERS_BEFORE = 946_684_800 // QUARTER_SECONDS
"""From 1970 to 2000, the epoch of Postgres."""
_DIMENSIONS_MAX = 100_000
_KEY = itemgetter(0)

DIMENSIONS_BYTES_MAX = 2000
"""Of a group's JSON: an index of Postgres holds no more. The database would say so too, and a batch would be halved."""

NO_DIMENSIONS = "{}"
"""The dimensions of a meter that does not group."""

Count = tuple[int, str, Decimal]
"""What an event adds to one meter: the meter, the dimensions as canonical JSON, the value."""

RollupKey = tuple[str, int, int, str]
"""Account, meter, quarters of an hour since 1970, dimensions as canonical JSON."""


Single = tuple[Decimal, int, int]
"""The total of one event, the most frequent kind: value, its time, when it was known."""


class Total(msgspec.Struct, gc=False):
    """The running total of one key: the state of the engine's `Rollup`, changed in place.

    Times are in microseconds since 2000, as Postgres has them.
    """

    event_count: int
    sum_value: Decimal
    max_value: Decimal
    min_value: Decimal
    last_value: Decimal
    last_us: int
    recorded_us: int

    @property
    def last_at(self) -> datetime:
        """Return the time of the last event."""
        return EPOCH + self.last_us * MICROSECOND

    @property
    def recorded_at(self) -> datetime:
        """Return when the newest event was known."""
        return EPOCH + self.recorded_us * MICROSECOND

    def add(self, value: Decimal, at_us: int, recorded_us: int) -> None:
        """Count one more event."""
        self.event_count += 1
        self.sum_value += value
        if value > self.max_value:
            self.max_value = value
        elif value < self.min_value:
            self.min_value = value
        if at_us >= self.last_us:
            self.last_value, self.last_us = value, at_us
        if recorded_us > self.recorded_us:
            self.recorded_us = recorded_us


Folded = Single | Total


def total_of(folded: Folded) -> Total:
    """Return a total; what has counted one event becomes one."""
    if isinstance(folded, Total):
        return folded
    value, at_us, recorded_us = folded
    return Total(1, value, value, value, value, at_us, recorded_us)


@dataclass(frozen=True, slots=True)
class RollupColumns:
    """Totals sorted by key, as columns for the database."""

    rows: Sequence[tuple[RollupKey, Folded]]

    def records(self) -> list[tuple[Any, ...]]:
        """Return one tuple a total, in the order of the columns of `usage.rollup`; numbers as text."""
        return [
            (
                account_id,
                meter_id,
                quarter_at(quarter),
                dimensions,
                total.event_count,
                str(total.sum_value),
                str(total.max_value),
                str(total.min_value),
                str(total.last_value),
                total.last_at,
                total.recorded_at,
            )
            for (account_id, meter_id, quarter, dimensions), folded in self.rows
            for total in (total_of(folded),)
        ]

    def arrays(self) -> tuple[list[Any], ...]:
        """Return one list a column, in the table's order."""
        return tuple(list(column) for column in zip(*self.records(), strict=True))


@dataclass(slots=True)
class Fold:
    """The totals of one batch."""

    folded: dict[RollupKey, Folded] = field(default_factory=dict)
    recorded_at: datetime = EPOCH
    """Of the event before: records appended together share one instant."""
    recorded_us: int = 0

    @property
    def totals(self) -> dict[RollupKey, Total]:
        """Return the totals."""
        return {key: total_of(folded) for key, folded in self.folded.items()}

    def add(self, account_id: str, counts: Iterable[Count], at: datetime, recorded_at: datetime) -> None:
        """Count one event; of two at the same time the one added later is the last."""
        totals = self.folded
        if recorded_at is not self.recorded_at:
            self.recorded_at, self.recorded_us = recorded_at, microseconds(recorded_at)
        recorded_us, at_us = self.recorded_us, (at - EPOCH) // MICROSECOND  # as `microseconds` has it
        quarter = at_us // QUARTER_US + QUARTERS_BEFORE
        for meter_id, dimensions, value in counts:
            key = account_id, meter_id, quarter, dimensions
            folded = totals.get(key)
            if folded is None:
                totals[key] = value, at_us, recorded_us
                continue
            if not isinstance(folded, Total):
                totals[key] = folded = total_of(folded)
            folded.add(value, at_us, recorded_us)

    def columns(self) -> RollupColumns:
        """Return the totals sorted by key."""
        return RollupColumns(sorted(self.folded.items(), key=_KEY))

    def marks(self) -> list[tuple[str, int, datetime]]:
        """Return (account, meter, earliest quarter) of what was touched, sorted."""
        return marks_of(self.columns())

    def quarters(self) -> set[tuple[str, int, datetime]]:
        """Return (account, meter, quarter) of all that was touched."""
        return {(account_id, meter_id, quarter_at(quarter)) for account_id, meter_id, quarter, _ in self.folded}

    def months(self) -> list[int]:
        """Return the months (partitions.month_of) touched, sorted."""
        return sorted({month_of(quarter_at(key[2])) for key in self.folded})


def marks_of(columns: RollupColumns) -> list[tuple[str, int, datetime]]:
    """Return (account, meter, earliest quarter) of totals, sorted as they are."""
    earliest: dict[tuple[str, int], int] = {}
    for (account_id, meter_id, quarter, _), _ in columns.rows:
        earliest.setdefault((account_id, meter_id), quarter)  # the first of a meter is its earliest
    return [(account_id, meter_id, quarter_at(quarter)) for (account_id, meter_id), quarter in earliest.items()]


@lru_cache(maxsize=10_000)
def quarter_at(quarter: int) -> datetime:
    """Return when a quarter of an hour begins."""
    return EPOCH + (quarter - QUARTERS_BEFORE) * QUARTER_US * MICROSECOND


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
