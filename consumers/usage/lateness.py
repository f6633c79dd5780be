"""Late or not: whether the period that an event belongs to had closed when it came.

Place     matching -> [this]. No I/O.
Rule      an event is late for a meter if it lies before the oldest period of the meter that is open: the one that
          holds the watermark of the event's own partition, less the grace. Periods are those of the meter's items
          (`Cadence`): calendar months, unless a contract says otherwise; in each of the zones that the account was
          ever in, since a period ends in the zone that it began in.
Late      is not lost: it waits for the next tick (late.py), so that a statement never depends on how far another
          worker had read. What is on time for a period came before the tick that states it: a statement made at a tick
          holds exactly what came at lower watermarks.
Holds     it depends on the contract and the watermark, never on what was already finalized: two runs agree. Only where
          neither tells (what was parked came back, periods of another length were stated) the book does: matching.
Source    PRICING.md, Periods; docs/adr/0023-late-and-corrected-usage.md.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fakturo.engine.periods import open_period_start
from fakturo.engine.schedule import Cadence, cadence_period
from fakturo.schemas.events.contracts import AccountVersion

_OPEN_PERIODS_MAX = 10_000


@dataclass(slots=True)
class OpenPeriods:
    """Where the oldest open period begins, as a partition's watermark saw it."""

    grace_seconds: int
    starts: dict[tuple[tuple[str, ...], datetime, Cadence | None], datetime] = field(default_factory=dict)

    def is_late(
        self,
        versions: tuple[AccountVersion, ...],
        at: datetime,
        watermark_at: datetime | None,
        cadence: Cadence | None = None,
    ) -> bool:
        """Return whether an event of `at` came after its period had closed; before the first tick none has.

        Without a `cadence` periods are calendar months.
        """
        start_at = self.open_from(versions, watermark_at, cadence)
        return start_at is not None and at < start_at

    def open_from(
        self, versions: tuple[AccountVersion, ...], watermark_at: datetime | None, cadence: Cadence | None = None
    ) -> datetime | None:
        """Return where the oldest open period begins; None where none has closed."""
        if watermark_at is None or not versions:
            return None
        key = (_zones(versions), watermark_at, cadence)
        start_at = self.starts.get(key)
        if start_at is None:
            if len(self.starts) > _OPEN_PERIODS_MAX:
                self.starts.clear()
            start_at = self.starts[key] = max(self._start(zone, watermark_at, cadence) for zone in key[0])
        return start_at

    def _start(self, zone: str, watermark_at: datetime, cadence: Cadence | None) -> datetime:
        if cadence is None:
            return open_period_start(watermark_at, self.grace_seconds, zone)
        return cadence_period(cadence, watermark_at - timedelta(seconds=self.grace_seconds), zone).start_at


def _zones(versions: tuple[AccountVersion, ...]) -> tuple[str, ...]:
    """Return the zones that the account was ever in; most were in one."""
    if len(versions) == 1:
        return (versions[0].timezone,)
    return tuple(sorted({version.timezone for version in versions}))
