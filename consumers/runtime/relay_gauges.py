"""Depths and ages that no single agent sees: outbox, parked events, lag; measured every five seconds.

Place     Postgres and Kafka -> [this] in the relay's process -> `/metrics`.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import asyncpg
from aiokafka.errors import KafkaError

from fakturo.consumers.runtime.health_checks import driver_url
from fakturo.consumers.runtime.lag import measure_lag, open_prober
from fakturo.consumers.runtime.metrics import (
    LAG_RECORDS,
    LAG_SECONDS,
    OLDEST_PARKED_AGE,
    OUTBOX_OLDEST_AGE,
    OUTBOX_PENDING,
    PARKED,
)
from fakturo.consumers.runtime.settings import Settings

MEASURE_SECONDS = 5.0

_OUTBOX = """
SELECT agent, count(id) AS depth, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS age_seconds
  FROM unnest($1::text[]) agent LEFT JOIN runtime.outbox USING (agent) GROUP BY agent
"""
_PARKED = """
SELECT agent, count(id) AS depth, coalesce(extract(epoch FROM now() - min(parked_at)), 0)::float8 AS age_seconds
  FROM unnest($1::text[]) agent LEFT JOIN runtime.parked USING (agent) GROUP BY agent
"""


async def measure_depths(connection: asyncpg.Connection, agents: Sequence[str]) -> None:
    """Set the gauges of outbox and parked events for `agents`."""
    for query, depth, age in ((_OUTBOX, OUTBOX_PENDING, OUTBOX_OLDEST_AGE), (_PARKED, PARKED, OLDEST_PARKED_AGE)):
        for row in await connection.fetch(query, list(agents)):
            depth.labels(row["agent"]).set(row["depth"])
            age.labels(row["agent"]).set(row["age_seconds"])


async def keep_gauges(settings: Settings, agents: Sequence[str]) -> None:
    """Measure for ever; what can't be measured now keeps its last value."""
    while True:
        with suppress(OSError, TimeoutError, KafkaError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await _measure(settings, agents)
        await asyncio.sleep(MEASURE_SECONDS)


async def _measure(settings: Settings, agents: Sequence[str]) -> None:
    connection = await asyncpg.connect(driver_url(settings.database_url), timeout=5, command_timeout=10)
    try:
        prober = await open_prober(settings)
        try:
            while True:
                await measure_depths(connection, agents)
                for lag in await measure_lag(settings, connection, prober):
                    LAG_RECORDS.labels(lag.agent, lag.topic, lag.partition).set(lag.records)
                    LAG_SECONDS.labels(lag.agent, lag.topic, lag.partition).set(lag.seconds)
                await asyncio.sleep(MEASURE_SECONDS)
        finally:
            await asyncio.wait_for(prober.stop(), MEASURE_SECONDS)
    finally:
        await connection.close(timeout=2)
