"""How long usage is kept: which events are too old to be counted, and what time lets retire.

Place     claiming, `advance` -> [Retention] -> partitions, `usage.retention`; app -> [Keeper], beside the agent.
Rule      with FAKTURO_USAGE_RETENTION_MONTHS, usage of a month (UTC) that lies more than so many months behind is not
          taken any more, judged by the watermark of the event's own partition, so that two runs agree. So its identity
          is not needed either: what cannot be counted cannot be counted twice.
Held back a month stays while usage of it may still be billed or corrected: an item's open period or allowance reaches
          into it, a revision or late totals wait, or there is a level (`weighted_sum`), a sum of all there was.
Ticks     `Retention` moves the bound with time and makes partitions ahead, in the tick's transaction; `Keeper` does
          beside it what works in no transaction or would make one long: detaching, removing identities.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import structlog

from fakturo.consumers.runtime.health_checks import driver_url
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import identity_sweep
from fakturo.consumers.usage.partitions import ensure_partitions, month_of, month_start, retire

MONTHS_AHEAD = 2
PARTITIONS_AT_A_TIME = 4
LOOK_SECONDS = 60.0
CONNECT_SECONDS_MAX = 5.0

log = structlog.get_logger(__name__)

_MOVE = """
UPDATE usage.retention SET retained_from_at = least($1::timestamptz, held.since_at)
  FROM (SELECT date_trunc('month', min(since_at), 'UTC') AS since_at FROM (
           SELECT min(period_start_at - make_interval(months => coalesce((content->>'allowance_months')::int, 0)))
             FROM usage.subscription_item WHERE next_period_end_at IS NOT NULL
           UNION ALL
           SELECT min(period_start_at) FROM usage.revision_due, usage.retention
            WHERE period_start_at >= coalesce(retained_from_at, '-infinity')
           UNION ALL
           SELECT min(bucket_start_at) FROM usage.late_rollup
           UNION ALL
           SELECT '-infinity' FROM usage.meter WHERE definition->>'aggregation' = 'weighted_sum'
       ) AS waiting(since_at)) AS held
 WHERE least($1::timestamptz, held.since_at) > coalesce(retained_from_at, '-infinity')
RETURNING retained_from_at
"""


@dataclass(frozen=True, slots=True)
class Retention:
    """How many months of usage are kept; None: all."""

    months: int | None

    def too_old(self, at: datetime, watermark_at: datetime | None) -> str | None:
        """Return why an event of `at` is not taken, as its partition knew the time; None if it is."""
        if self.months is None or watermark_at is None:
            return None
        bound = month_start(month_of(watermark_at) - self.months)
        if at >= bound:
            return None
        return (
            f"time {at.isoformat()} is before {bound.isoformat()}: usage is kept for {self.months} months "
            "(FAKTURO_USAGE_RETENTION_MONTHS); correct the time, or bill it as a one-time charge"
        )

    async def advance(self, to: datetime, tx: Transaction) -> None:
        """Make the partitions of the month of `to` and of those ahead; move the bound of what has retired."""
        month = month_of(to)
        await ensure_partitions(tx.driver, range(month, month + MONTHS_AHEAD + 1))
        if self.months is not None:
            moved_to = await tx.driver.fetchval(_MOVE, month_start(month - self.months))
            if moved_to is not None:
                log.info("usage retires", before=moved_to.isoformat())


class Keeper:
    """Detaches the months that have retired and removes their identities, whenever there are some."""

    name = "usage_retention"

    def __init__(self, settings: Settings) -> None:
        self._url = driver_url(settings.database_url)
        self._says = "nothing has retired yet"

    async def run(self) -> None:
        """Look once a minute, for ever; more often while there is work."""
        while True:
            connection = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS_MAX)
            try:
                more = await self.work(connection)
            finally:
                await connection.close(timeout=CONNECT_SECONDS_MAX)
            await asyncio.sleep(0 if more else LOOK_SECONDS)

    async def work(self, connection: asyncpg.Connection) -> bool:
        """Do a part of what is due; return whether more remains. `connection` is in no transaction."""
        before_at = await connection.fetchval("SELECT retained_from_at FROM usage.retention")
        if before_at is None:
            return False
        self._says = f"usage before {before_at.isoformat()} has retired"
        if await retire(connection, month_of(before_at), PARTITIONS_AT_A_TIME):
            return True
        return await identity_sweep.sweep(connection, before_at)

    async def check(self) -> tuple[bool, str]:
        """Return what has retired; a month that cannot be detached yet is no failure."""
        return True, self._says
