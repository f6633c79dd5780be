"""Records as the client finds them in a batch, without the object of eleven fields that it makes of each.

Place     runner_bulk -> [this] -> aiokafka's fetcher -> received.
Why       the record that the batch's reader gives (C) has all that we take; making aiokafka's `ConsumerRecord` of it
          costs as much as all else that the client does for a record.
Private   aiokafka has no hook for it: the fetcher's table of what was fetched is replaced by one that tells each entry.
          Offsets, aborted transactions and checksums stay the client's. The pin makes that safe, and a test fails when
          what is relied on is gone.
"""

from collections import OrderedDict
from typing import Any

from aiokafka import AIOKafkaConsumer


class _Fetched(OrderedDict[Any, Any]):
    """What was fetched, by partition: records that are still to be unpacked, or an error."""

    def __setitem__(self, partition: Any, result: Any) -> None:
        records = getattr(result, "_partition_records", None)
        if records is not None:
            records._consumer_record = _as_found
        super().__setitem__(partition, result)


def _as_found(_partition: Any, record: Any) -> Any:
    return record


def bare_records(consumer: AIOKafkaConsumer) -> None:
    """Have `consumer`, which was started, give bare records: offset, timestamp, key, value, headers."""
    fetcher = consumer._fetcher
    fetcher._records = _Fetched(fetcher._records)
