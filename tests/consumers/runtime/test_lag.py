"""Lag counts records that are still to be read, and takes no transaction marker for one."""

import asyncpg
from aiokafka import AIOKafkaProducer

from fakturo.consumers.runtime.lag import Lag, lag_once
from fakturo.consumers.runtime.metrics import OUTBOX_PENDING, PARKED
from fakturo.consumers.runtime.relay_gauges import measure_depths
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.topic_admin import apply_topics

TOPIC = "billing.invoices"


async def publish(settings: Settings, sizes: list[int]) -> None:
    """Commit one transaction of each size into partition 0."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id=settings.topic_prefix + "lag")
    await producer.start()
    for size in sizes:
        async with producer.transaction():
            for number in range(size):
                await producer.send(settings.topic_prefix + TOPIC, b"%d" % number, partition=0)
    await producer.stop()


async def lag_at(settings: Settings, connection: asyncpg.Connection, next_offset: int) -> Lag:
    await connection.execute(
        "INSERT INTO runtime.cursor (agent, topic, partition, next_offset) VALUES ('ledger', $1, 0, $2) "
        "ON CONFLICT (agent, topic, partition) DO UPDATE SET next_offset = excluded.next_offset",
        TOPIC,
        next_offset,
    )
    (lag,) = await lag_once(settings, connection)
    return lag


async def test_markers_are_no_lag_and_records_are(settings: Settings) -> None:
    await apply_topics(settings)
    await publish(settings, [3, 2])  # offsets 0 1 2, marker 3, records 4 5, marker 6
    connection = await asyncpg.connect(settings.database_url)
    done = await lag_at(settings, connection, 6)
    assert (done.end_offset, done.records, done.seconds) == (7, 0, 0.0)
    assert (await lag_at(settings, connection, 7)).records == 0
    behind = await lag_at(settings, connection, 3)
    assert behind.records == 2
    assert 0 < behind.seconds < 60
    assert (await lag_at(settings, connection, 0)).records == 5
    await connection.close()


async def test_agents_at_different_places_of_one_partition_each_have_their_own_lag(settings: Settings) -> None:
    await apply_topics(settings)
    await publish(settings, [3, 2])
    connection = await asyncpg.connect(settings.database_url)
    await connection.executemany(
        "INSERT INTO runtime.cursor (agent, topic, partition, next_offset) VALUES ($1, $2, $3, $4)",
        [("kpi", TOPIC, 0, 5), ("ledger", TOPIC, 0, 0), ("kpi", TOPIC, 1, 0), ("other", TOPIC, 0, 6)],
    )
    lags = {(lag.agent, lag.partition): lag.records for lag in await lag_once(settings, connection)}
    assert lags == {("kpi", 0): 1, ("ledger", 0): 5, ("kpi", 1): 0, ("other", 0): 0}
    await connection.close()


async def test_a_large_lag_is_the_distance_of_the_offsets(settings: Settings) -> None:
    await apply_topics(settings)
    await publish(settings, [500])
    connection = await asyncpg.connect(settings.database_url)
    assert (await lag_at(settings, connection, 0)).records == 501
    await connection.close()


async def test_depths_of_outbox_and_parked_events_are_gauges(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO runtime.outbox (agent, topic, partition, headers) SELECT 'kpi', 't', 0, '[]' "
        "FROM generate_series(1, 7)"
    )
    await measure_depths(connection, ["kpi", "usage"])
    assert OUTBOX_PENDING.labels("kpi")._value.get() == 7
    assert OUTBOX_PENDING.labels("usage")._value.get() == 0
    assert PARKED.labels("kpi")._value.get() == 0
    await connection.close()
