"""The flights of the storm: those of 2013 by time; several times over where more are asked for than there were.

Place     producers/simulate/flights -> [this] -> flow.py, said_later.py.
More      as if the airports were that much busier: the second telling of a flight has an id of its own, so a million
          flights are a year of the same airlines, bills and days.
"""

from collections.abc import Iterator
from itertools import islice

from fakturo.producers.simulate.flights import UsageRecord, usage_records

FLIGHTS_OF_THE_YEAR = 336_776
_ID = b'"id":"'


def flights(count: int) -> Iterator[UsageRecord]:
    """Yield the first `count` flights by time."""
    tellings = -(-count // FLIGHTS_OF_THE_YEAR)
    return islice((one for record in usage_records() for one in _told(record, tellings)), count)


def _told(record: UsageRecord, tellings: int) -> Iterator[UsageRecord]:
    yield record
    for number in range(2, tellings + 1):
        value = record.value.replace(_ID, _ID + f"{number}/".encode(), 1)
        yield UsageRecord(record.account, record.time_ms, value)
