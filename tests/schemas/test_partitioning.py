"""Our murmur2 is Kafka's: by the vectors of its own unit test, and by aiokafka's partitioner on many keys."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from fakturo.schemas.partitioning import murmur2, partition_for

# org.apache.kafka.common.utils.UtilsTest#testMurmur2, as Java's signed integers.
UTILS_TEST = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize(("text", "signed"), UTILS_TEST.items())
def test_hashes_are_those_of_kafkas_own_test(text: str, signed: int) -> None:
    assert murmur2(text.encode()) == signed & 0xFFFFFFFF


@given(st.binary(max_size=40), st.integers(1, 64))
def test_partitions_are_those_of_the_default_partitioner(key: bytes, count: int) -> None:
    everything = list(range(count))
    expected = DefaultPartitioner()(key, everything, everything) if key else partition_for(b"", count)
    assert partition_for(key, count) == expected


def test_text_is_hashed_as_utf8() -> None:
    assert partition_for("Ærø 1", 7) == partition_for("Ærø 1".encode(), 7)
