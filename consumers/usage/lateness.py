"""Late or not: whether the period that an event belongs to had closed when it came.

Place     matching -> [this]. No I/O.
Rule      an event is late for a meter if it lies before the oldest period of the meter that is open: the one that
          holds the watermark of the event's own partition, less the grace. Periods are those of the meter's items
          (`Cadence`): calendar months, unless a contract says otherwise. An event that is late for each meter that
          counts it is late; one that is late for some counts for the others alone.
Holds     it depends on the contract and the watermark, never on what was already finalized: two runs agree.
Source    PRICING.md, Periods; docs/adr/0017-usage-revisions.md.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fakturo.engine.periods import open_period_start
from fakturo.engine.schedule import Cadence, cadence_period, version_at
from fakturo.schemas.events.contracts import AccountVersion

_OPEN_PERIODS_MAX = 10_000


@dataclass(slots=True)
class OpenPeriods:
    """Where the oldest open period begins, as a partition's watermark saw it."""

    grace_seconds: int
    starts: dict[tuple[str, datetime, Cadence | None], datetime] = field(default_factory=dict)

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
        if watermark_at is None or not versions:
            return False
        closed_at = watermark_at - timedelta(seconds=self.grace_seconds)
        key = (version_at(versions, closed_at).timezone, watermark_at, cadence)
        start_at = self.starts.get(key)
        if start_at is None:
            if len(self.starts) > _OPEN_PERIODS_MAX:
                self.starts.clear()
            start_at = self.starts[key] = self._start(*key)
        return at < start_at

    def _start(self, zone: str, watermark_at: datetime, cadence: Cadence | None) -> datetime:
        if cadence is None:
            return open_period_start(watermark_at, self.grace_seconds, zone)
        return cadence_period(cadence, watermark_at - timedelta(seconds=self.grace_seconds), zone).start_at
