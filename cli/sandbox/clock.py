"""The sandbox org's clock, and how instants are written in it.

Place     [this] -> stamps of records, commits, retention, token ages, the `Date` header.
Rules     Real time unless set: the demo runs in 2013, a test freezes it. A commit has milliseconds; a record's stamps
          and an event's commit timestamp are cut to the second, as all recorded samples of Salesforce's are.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class SandboxClock:
    """Tells the org's time: real, shifted, or frozen."""

    def __init__(self, start: datetime | None = None) -> None:
        self._shift = timedelta()
        self._frozen: datetime | None = None
        if start is not None:
            self.set(start)

    def now(self) -> datetime:
        """Return the org's present instant, UTC, cut to the millisecond."""
        moment = self._frozen or datetime.now(UTC) + self._shift
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def set(self, instant: datetime) -> None:
        """Let it be `instant` now, and time go on from there."""
        self._frozen = None
        self._shift = instant - datetime.now(UTC)

    def freeze(self, instant: datetime) -> None:
        """Let it be `instant` until told otherwise."""
        self._frozen = instant

    def advance(self, seconds: float) -> None:
        """Move forward by so many seconds; a frozen clock stays frozen."""
        if self._frozen is not None:
            self._frozen += timedelta(seconds=seconds)
        else:
            self._shift += timedelta(seconds=seconds)

    def real(self) -> None:
        """Go back to real time."""
        self._frozen, self._shift = None, timedelta()


def instant_text(moment: datetime) -> str:
    """Return a datetime as REST writes it and rows hold it: `2026-11-01T12:00:00.000+0000`."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


def stamp_text(moment: datetime) -> str:
    """Return a record's stamp: the instant cut to the second."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000+0000"


@lru_cache(maxsize=4096)
def instant_of(text: str) -> datetime:
    """Return the instant of a datetime value of a row."""
    return datetime.fromisoformat(text)


def epoch_ms(moment: datetime) -> int:
    """Return milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


@lru_cache(maxsize=4096)
def value_ms(text: str) -> int:
    """Return milliseconds since 1970 of a row's datetime (`...+0000`) or date (`2026-11-01`, its midnight UTC)."""
    if len(text) == len("2026-11-01"):
        return (date.fromisoformat(text) - _EPOCH.date()).days * 86_400_000
    return epoch_ms(datetime.fromisoformat(text))
