"""The one driver of time: every partition of every input topic, forward only, one driver at a time."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.topic_admin import apply_topics
from fakturo.producers.clock import ClockDriver, tick, tick_event
from fakturo.schemas.codec import decode_event, encode
from fakturo.schemas.topics import INPUT_TOPICS, USAGE

AT = datetime(2013, 2, 1, 12, 30, tzinfo=UTC)


async def ticks(settings: Settings, number: int, seconds: float = 10) -> list[ConsumerRecord]:
    """Return the first `number` records of the input topics, fewer if no more come."""
    names = [settings.topic_prefix + topic.name for topic in INPUT_TOPICS]
    consumer = AIOKafkaConsumer(
        *names, bootstrap_servers=settings.kafka, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    found: list[ConsumerRecord] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while len(found) < number:
                for batch in (await consumer.getmany(timeout_ms=100)).values():
                    found.extend(batch)
    await consumer.stop()
    return found


def test_the_same_instant_gives_the_same_bytes_whatever_its_zone() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=-5)))
    assert encode(tick_event(AT)) == encode(tick_event(elsewhere))
    event = decode_event(encode(tick_event(AT)))
    assert (event.type, event.data.at) == ("fakturo.clock.advanced.v1", AT)


async def test_a_tick_reaches_every_partition_and_is_recorded_when_it_is_said(settings: Settings) -> None:
    await apply_topics(settings, keep_producer_time=True)
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka, enable_idempotence=True) as producer:
        ends = await tick(producer, INPUT_TOPICS, AT, prefix=settings.topic_prefix, recorded_at=AT)
    expected = {(topic.name, partition) for topic in INPUT_TOPICS for partition in range(settings.partitions)}
    assert set(ends) == expected
    assert ends["billing.usage", 0] == 1
    records = await ticks(settings, len(expected))
    assert {(r.topic.removeprefix(settings.topic_prefix), r.partition) for r in records} == expected
    assert {r.timestamp for r in records} == {1359721800000}


def test_time_never_goes_back_and_stands_while_the_systems_clock_is_behind() -> None:
    clock = {"at": AT}
    driver = ClockDriver.__new__(ClockDriver)
    driver._now = lambda: clock["at"]
    driver.ticked_at = None
    assert driver.next_at() == AT
    driver.ticked_at = AT
    clock["at"] = AT - timedelta(hours=1)
    assert driver.next_at() is None
    clock["at"] = AT + timedelta(seconds=1)
    assert driver.next_at() == AT + timedelta(seconds=1)


@pytest.mark.integration
async def test_a_driver_starts_from_what_agents_have_seen_and_a_second_one_waits(settings: Settings) -> None:
    await apply_topics(settings)
    connection = await asyncpg.connect(settings.database_url)
    seen_at = AT + timedelta(milliseconds=3)
    await connection.execute(
        "INSERT INTO runtime.cursor (agent, topic, partition, watermark_at) VALUES ('usage', 'billing.usage', 0, $1)",
        seen_at,
    )
    steps = iter(range(10**6))

    def now() -> datetime:
        return AT + timedelta(milliseconds=next(steps))

    drivers = [ClockDriver(settings, interval_seconds=0.01, now=now) for _ in range(2)]
    running = [asyncio.create_task(driver.run()) for driver in drivers]
    count = len(INPUT_TOPICS) * settings.partitions
    records = await ticks(settings, 3 * count)
    assert sum(driver.health.waiting_for is not None for driver in drivers) == 1
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    own = [r for r in records if (r.topic, r.partition) == (settings.topic_prefix + USAGE.name, 0)]
    times = [decode_event(r.value).data.at for r in own]
    assert times[0] > seen_at
    assert times == sorted(set(times)), "each tick is later than the one before"
    await connection.close()
