"""Usage that is said later: flights told again, forgotten ones, and what corrects or voids others.

Place     [this] -> producers/simulate/year -> `billing.usage`, each record between the ticks of its own day.
Chosen    flights of January's first three weeks, so it is the same with fewer flights; of all airlines but SkyWest,
          whose January is voided and issued again (asked.py): what comes between would differ by its own rules.
Said      of half of them at the end of January, while that month is open; of the others in February, when January's
          invoices are out: so it is late in every run, whatever the workers' speed.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Any

import msgspec

from fakturo.producers.simulate.flights import CANCELLATION, DEPARTURE, UsageRecord, flight_events
from fakturo.schemas.events.usage import USAGE_CORRECTED
from tests.storm.asked import NEVER_PAYS

OPEN_AT = datetime(2013, 1, 20, 15, tzinfo=UTC)
CLOSED_AT = datetime(2013, 2, 3, 15, tzinfo=UTC)
DAYS = 5
"""On so many days one after the other it is said; what is said of the same flight once more, `DAYS` days later."""

LOOKED_AT = 15_000
"""Of the flights of 1 to 18 January; of fewer where fewer are told."""
FLIGHTS_A_CHOSEN = 1_000
CHOSEN_MIN = 24

Flight = dict[str, Any]


class Kind(StrEnum):
    """What is said of a flight: of the chosen ones in turn."""

    TOLD_AGAIN = "told again"
    FORGOTTEN = "forgotten"
    VOIDED = "voided"
    REPLACED = "replaced"
    MOVED = "moved to the month in which it is said"
    REPLACED_AND_VOIDED = "replaced, the replacement voided"


_KINDS = tuple(Kind)


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of one flight: its records by time; `closed` says that the flight's month was billed by then."""

    kind: Kind
    closed: bool
    records: tuple[UsageRecord, ...]


def said_later(flights: int) -> list[Said]:
    """Return what is said where `flights` are told on time."""
    looked_at, chosen = min(flights, LOOKED_AT), max(flights // FLIGHTS_A_CHOSEN, CHOSEN_MIN)
    return [_said(number, flight) for number, flight in enumerate(_chosen(looked_at, chosen))]


def records_of(said: Iterable[Said]) -> list[UsageRecord]:
    """Return all that is said, by time."""
    records = [record for one in said for record in one.records]
    return sorted(records, key=lambda record: (record.time_ms, record.value))


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be found of it in the books."""

    events: int
    """New usage events: forgotten flights, and replacements."""
    late_events: int
    """Those of them that are of a month that was billed when they came."""
    corrections: int
    """Each takes one event out of what counts."""


def expected_of(said: Iterable[Said]) -> Expected:
    """Return how many there must be, by kind: a flight that is moved to an open month is new, and not late."""
    all_of, late = Counter(one.kind for one in said), Counter(one.kind for one in said if one.closed)
    replaced = (Kind.REPLACED, Kind.REPLACED_AND_VOIDED)
    return Expected(
        events=sum(all_of[kind] for kind in (Kind.FORGOTTEN, Kind.MOVED, *replaced)),
        late_events=sum(late[kind] for kind in (Kind.FORGOTTEN, *replaced)),
        corrections=sum(all_of[kind] for kind in (Kind.VOIDED, Kind.MOVED, *replaced))
        + all_of[Kind.REPLACED_AND_VOIDED],
    )


def _chosen(looked_at: int, count: int) -> Iterator[Flight]:
    flights = (one for one in flight_events(looked_at) if one.subject != NEVER_PAYS)
    every = looked_at // count - 1
    for flight in islice(flights, 0, count * every, every):
        yield json.loads(msgspec.json.encode(flight))


def _said(number: int, flight: Flight) -> Said:
    """Return what is said of the `number`th chosen flight: first all kinds in the open month, then in the next."""
    turn, place = divmod(number, len(_KINDS))
    closed = turn % 2 == 1
    at = (CLOSED_AT if closed else OPEN_AT) + timedelta(days=turn // 2 % DAYS)
    return Said(_KINDS[place], closed, tuple(_records(_KINDS[place], at, flight)))


def _records(kind: Kind, at: datetime, flight: Flight) -> Iterator[UsageRecord]:
    later_at = at + timedelta(days=DAYS)
    if kind is Kind.TOLD_AGAIN:
        yield _record(at, flight)
    elif kind is Kind.FORGOTTEN:
        yield _record(at, flight | {"id": f"{flight['id']}/forgotten"})
    elif kind is Kind.VOIDED:
        yield _record(at, _correction(at, flight, flight["id"], None))
        yield _record(later_at, flight)
    elif kind is Kind.MOVED:
        moved = flight | {"id": f"{flight['id']}/moved", "time": _text(at - timedelta(days=1))}
        yield _record(at, _correction(at, flight, flight["id"], moved))
    else:
        mended = _mended(flight)
        yield _record(at, _correction(at, flight, flight["id"], mended))
        if kind is Kind.REPLACED_AND_VOIDED:
            yield _record(later_at, _correction(later_at, flight, mended["id"], None))


def _mended(flight: Flight) -> Flight:
    """Return what took place instead: a day later, and the other of departed and cancelled."""
    at = datetime.fromisoformat(flight["time"]) + timedelta(days=1)
    other = DEPARTURE if flight["type"] == CANCELLATION else CANCELLATION
    return flight | {"id": f"{flight['id']}/mended", "time": _text(at), "type": other}


def _correction(at: datetime, flight: Flight, corrects: str, replacement: Flight | None) -> Flight:
    return {
        "specversion": "1.0",
        "id": f"{corrects}/correction",
        "source": "storm/desk",
        "type": USAGE_CORRECTED,
        "subject": flight["subject"],
        "time": _text(at),
        "datacontenttype": "application/json",
        "data": {"corrects": {"source": flight["source"], "id": corrects}, "replacement": replacement},
    }


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _record(at: datetime, event: Flight) -> UsageRecord:
    return UsageRecord(event["subject"], int(at.timestamp()) * 1000, json.dumps(event, separators=(",", ":")).encode())
