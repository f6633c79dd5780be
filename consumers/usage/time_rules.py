"""Which times an event may have: not far in the future, not before its account was there; and which of them are late.

Place     claiming -> [this] -> lateness. No I/O, no clock.
Future    judged by what the event's own partition knew when it came, the later of its watermark and the broker's append
          time: a clock that runs ahead is found, and two runs over one topic agree.
Before    the account's first version or its first service, whichever is earlier: a contract may be signed afterwards.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fakturo.consumers.usage.accounts import AccountMeters
from fakturo.consumers.usage.lateness import OpenPeriods
from fakturo.consumers.usage.reading import UsageEvent


@dataclass(frozen=True, slots=True)
class TimeRules:
    """How far ahead an event may lie, and which periods are open."""

    open_periods: OpenPeriods
    ahead: timedelta

    def problem(self, event: UsageEvent, account: AccountMeters) -> str | None:
        """Return what is wrong with the event's time, in a sentence that says how to mend it; None if nothing is."""
        at, record = event.at, event.record
        known_at = record.recorded_at
        if at > known_at and self._is_too_far(at, known_at, record.watermark_at):
            known_at = max(known_at, record.watermark_at or known_at)
            return (
                f"time {at.isoformat()} is more than {self.ahead} after {known_at.isoformat()}, when the "
                "event came: set the sender's clock (FAKTURO_USAGE_AHEAD_SECONDS_MAX allows more)"
            )
        if account.since_at is not None and at < account.since_at:
            return (
                f"time {at.isoformat()} is before {account.since_at.isoformat()}, when account {account.account_id} "
                "and its first service began: correct the time, or the contract, and send it again"
            )
        return None

    def _is_too_far(self, at: datetime, known_at: datetime, watermark_at: datetime | None) -> bool:
        ahead = at - known_at if watermark_at is None or watermark_at < known_at else at - watermark_at
        return ahead > self.ahead
