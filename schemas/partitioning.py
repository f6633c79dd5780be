"""Which partition an account's events go to: murmur2 of the account id, as Kafka's Java client does it.

Place     every producer of ours (relay, usage client, replay) -> [this] -> partition number.
Why own   librdkafka's default is CRC32, so a key alone does not fix the partition; we compute it and say it.
Source    org.apache.kafka.common.utils.Utils#murmur2 (seed 0x9747b28c), as implemented by aiokafka's
          DefaultPartitioner; the test compares both with the vectors of Kafka's UtilsTest.
"""

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return the unsigned 32-bit murmur2 hash of `data` with Kafka's seed."""
    length = len(data)
    result = (_SEED ^ length) & _MASK
    whole = length & ~3
    for index in range(0, whole, 4):
        word = int.from_bytes(data[index : index + 4], "little")
        word = (word * _MULTIPLIER) & _MASK
        word ^= word >> 24
        word = (word * _MULTIPLIER) & _MASK
        result = (result * _MULTIPLIER) & _MASK
        result ^= word
    if length > whole:
        result ^= int.from_bytes(data[whole:], "little")
        result = (result * _MULTIPLIER) & _MASK
    result ^= result >> 13
    result = (result * _MULTIPLIER) & _MASK
    return result ^ (result >> 15)


def partition_for(key: str | bytes, partition_count: int) -> int:
    """Return the partition of `key` (an account id) among `partition_count`, as Kafka's default partitioner does."""
    data = key.encode() if isinstance(key, str) else key
    return (murmur2(data) & 0x7FFFFFFF) % partition_count
