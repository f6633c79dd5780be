"""A record as the client library gives it becomes ours: logical topic, time with zone; and nothing costs twice.

Place     runners -> [this] -> Record. The topic prefix of a test or a replay ends here.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from fakturo.consumers.runtime.records import Headers, Record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NONE: Headers = ()


def at_milliseconds(milliseconds: int) -> datetime:
    """Return the instant of a Kafka timestamp, exactly."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def records_of(topic: str, partition: int, fetched: Iterable[Any]) -> list[Record]:
    """Return aiokafka's records of one partition as ours; records appended together share one instant."""
    records: list[Record] = []
    keep = records.append
    last_ms, at = -1, EPOCH
    for found in fetched:
        if found.timestamp != last_ms:
            last_ms = found.timestamp
            at = at_milliseconds(last_ms)
        headers = tuple(found.headers) if found.headers else _NONE
        keep(Record(topic, partition, found.offset, found.key, found.value, headers, at))
    return records
