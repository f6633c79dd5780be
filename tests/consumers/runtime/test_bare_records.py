"""Bare records say what the client's own would, and the client still knows how far it is."""

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchError, FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from fakturo.consumers.runtime.bare_records import bare_records
from fakturo.consumers.runtime.received import records_of

PLACE = TopicPartition("billing.usage", 3)


def fetched() -> FetchResult:
    """Return what a fetch gives of one batch: three records, the last without key and value, one with headers."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 10_000)
    builder.append(0, 1000, b"A", b"first", [])
    builder.append(1, 1000, b"B", b"second", [("name", b"value"), ("empty", None)])
    builder.append(2, 2000, None, None, [])
    records = MemoryRecords(bytes(builder.build()))
    unpacked = PartitionRecords(PLACE, records, [], 0, None, None, True, READ_COMMITTED)
    state = SimpleNamespace(position=0, paused=False)
    state.consumed_to = lambda position: setattr(state, "position", position)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    return FetchResult(PLACE, assignment=assignment, partition_records=unpacked, backoff=0)


def bare_table() -> Any:
    consumer = SimpleNamespace(_fetcher=SimpleNamespace(_records=OrderedDict()))
    bare_records(consumer)  # type: ignore[arg-type]
    return consumer._fetcher._records


def test_bare_records_become_what_the_clients_own_become() -> None:
    own, bare, table = fetched(), fetched(), bare_table()
    table[PLACE] = bare
    assert table[PLACE] is bare
    found = bare.getall()
    assert {type(one).__name__ for one in found} == {"DefaultRecord"}
    expected = records_of("billing.usage", 3, own.getall())
    assert records_of("billing.usage", 3, found) == expected
    assert [one.headers for one in expected] == [(), (("name", b"value"), ("empty", None)), ()]
    assert bare._assignment.state_value(PLACE).position == 3


def test_part_of_a_batch_leaves_the_rest_for_later() -> None:
    bare, table = fetched(), bare_table()
    table[PLACE] = bare
    assert [one.offset for one in bare.getall(max_records=2)] == [0, 1]
    assert [one.offset for one in bare.getall(max_records=2)] == [2]
    assert not bare.has_more()


def test_an_error_is_kept_as_it_is() -> None:
    table = bare_table()
    table[PLACE] = error = FetchError(error=ValueError("gone"), backoff=0)
    assert list(table.items()) == [(PLACE, error)]


def test_the_clients_fetcher_keeps_what_it_has_fetched_where_it_is_replaced() -> None:
    assert "_records" in Fetcher.__init__.__code__.co_names
    assert "_records" in Fetcher.fetched_records.__code__.co_names
    assert "_consumer_record" in PartitionRecords._unpack_records.__code__.co_names
