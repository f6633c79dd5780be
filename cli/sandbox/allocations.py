"""What the org may use in a day, and what of it is used: API calls, delivered events, Bulk jobs.

Place     REST, Bulk and the bus use -> [this] -> `/limits`, `Sforce-Limit-Info`
Rules     A day is 24 hours of the org's clock from its first use; then the count begins again. A fault sets an
          allocation of its own; the others are a full sandbox's or the Enterprise edition's.
Source    Salesforce Developer Limits Quick Reference, "API Request Limits", "Platform Event Allocations".
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from fakturo.cli.sandbox.faults import Faults

API_REQUESTS = "DailyApiRequests"
DELIVERED_EVENTS = "DailyDeliveredPlatformEvents"
QUERY_JOBS = "DailyBulkV2QueryJobs"
BULK_BATCHES = "DailyBulkApiBatches"

MAXIMA = {
    API_REQUESTS: 5_000_000,
    "DailyAsyncApexExecutions": 250_000,
    BULK_BATCHES: 15_000,
    QUERY_JOBS: 10_000,
    "DailyBulkV2QueryFileStorageMB": 976_562,
    DELIVERED_EVENTS: 25_000,
    "DailyStandardVolumePlatformEvents": 25_000,
    "MonthlyPlatformEventsUsageEntitlement": 3_000_000,
    "HourlyPublishedPlatformEvents": 250_000,
    "HourlyPublishedStandardVolumePlatformEvents": 1_000,
    "DataStorageMB": 200,
    "FileStorageMB": 200,
}
_OF_FAULTS = {API_REQUESTS: "api_allocation", DELIVERED_EVENTS: "event_allocation"}
_NEVER_REFUSED = {DELIVERED_EVENTS}  # unless the fault says so: a demo delivers more than an edition allows
_DAY = timedelta(days=1)


class Allocations:
    """The counters of one org."""

    def __init__(self, now: Callable[[], datetime], faults: Faults) -> None:
        self._now = now
        self._faults = faults
        self._since = now()
        self._used: dict[str, int] = {}

    def use(self, name: str, count: int = 1) -> bool:
        """Count `count` more; False, and nothing counted, when that is more than the day allows."""
        self._new_day()
        used = self._used.get(name, 0)
        if used + count > self.most(name) and not (name in _NEVER_REFUSED and self._fault(name) is None):
            return False
        self._used[name] = used + count
        return True

    def used(self, name: str) -> int:
        """Return how many are used today."""
        self._new_day()
        return self._used.get(name, 0)

    def most(self, name: str) -> int:
        """Return how many a day allows."""
        told = self._fault(name)
        return MAXIMA[name] if told is None else told

    def state(self) -> dict[str, dict[str, int]]:
        """Return what `/limits` answers: Max and Remaining by name."""
        return {
            name: {"Max": self.most(name), "Remaining": max(0, self.most(name) - self.used(name))} for name in MAXIMA
        }

    def _fault(self, name: str) -> int | None:
        field = _OF_FAULTS.get(name)
        told: int | None = getattr(self._faults, field) if field else None
        return told

    def _new_day(self) -> None:
        now = self._now()
        if not timedelta() <= now - self._since < _DAY:
            self._since = now
            self._used.clear()
