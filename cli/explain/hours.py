"""The hours of a slice, in the account's zone, from the quarter-hour totals of its range.

Place     usage.rollup, by account, meter and range -> [this] -> explaining. As many rows as the range has quarters and
          groups, however much history there is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import asyncpg

from fakturo.cli.explain.answer import Hour
from fakturo.engine.meters import Meter, Rollup
from fakturo.engine.money import ZERO, exact_context
from fakturo.engine.periods import Period

_QUARTERS = """
SELECT bucket_start_at, dimensions, event_count, sum_value, max_value, min_value, last_value, last_at
  FROM usage.rollup
 WHERE account_id = $1 AND meter_id = $2 AND bucket_start_at >= $3 AND bucket_start_at < $4
 ORDER BY bucket_start_at, dimensions
"""
_ADDED_UP = """
SELECT bucket_start_at, '' AS dimensions, sum(event_count)::bigint AS event_count, sum(sum_value) AS sum_value,
       NULL::numeric AS max_value, NULL::numeric AS min_value, NULL::numeric AS last_value, max(last_at) AS last_at
  FROM usage.rollup
 WHERE account_id = $1 AND meter_id = $2 AND bucket_start_at >= $3 AND bucket_start_at < $4
 GROUP BY bucket_start_at ORDER BY bucket_start_at
"""
_ADDITIVE = ("count", "sum", "unique", "weighted_sum")
"""Aggregations of which the groups of a quarter may be added up by the database."""


@dataclass(slots=True)
class _Hour:
    """The totals of an hour, by group."""

    groups: dict[str, Rollup] = field(default_factory=dict)


async def hours_of(
    connection: asyncpg.Connection, account: str, meter_id: int, meter: Meter, period: Period, zone: str
) -> list[Hour]:
    """Return the hours of `period` in which something was used, oldest first."""
    query = _ADDED_UP if meter.aggregation in _ADDITIVE else _QUARTERS
    rows = await connection.fetch(query, account, meter_id, period.start_at, period.end_at)
    return _folded(rows, meter, ZoneInfo(zone))


def _folded(rows: Iterable[asyncpg.Record], meter: Meter, zone: ZoneInfo) -> list[Hour]:
    hours: dict[datetime, _Hour] = {}
    with exact_context():
        for row in rows:
            groups = hours.setdefault(_hour_start(row["bucket_start_at"], zone), _Hour()).groups
            before = groups.get(row["dimensions"], Rollup())
            groups[row["dimensions"]] = before.merge(_rollup(row))
        return [
            Hour(
                start=start_at,
                local=start_at.astimezone(zone).isoformat(timespec="minutes"),
                events=sum(one.count for one in hour.groups.values()),
                quantity=_quantity(hour, meter),
            )
            for start_at, hour in hours.items()
        ]


def _quantity(hour: _Hour, meter: Meter) -> Decimal | None:
    if meter.needs_events:
        return None
    return sum((one.quantity(meter.aggregation) for one in hour.groups.values()), ZERO)


def _hour_start(quarter_at: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant at which the local hour began that holds the quarter."""
    return quarter_at - timedelta(minutes=quarter_at.astimezone(zone).minute)


def _rollup(row: asyncpg.Record) -> Rollup:
    return Rollup(
        count=row["event_count"],
        total=row["sum_value"],
        highest=row["max_value"] if row["max_value"] is not None else ZERO,
        lowest=row["min_value"] if row["min_value"] is not None else ZERO,
        last=row["last_value"] if row["last_value"] is not None else ZERO,
        last_at=row["last_at"],
    )
