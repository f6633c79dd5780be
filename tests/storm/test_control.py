"""The control: the same strikes on stock Faust commits, without identity and sequence checks, lose and double."""

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from fakturo.cli.stack import background
from fakturo.producers.simulate.year import publish_usage
from tests.storm.breaker import Breaker, tally
from tests.storm.flow import Channel, Gate
from tests.storm.rig import PARTITIONS, Rig
from tests.storm.schedule import BROKER, DATABASE, INSTANCES, Kind, Strike, plan
from tests.storm.traffic import flights

pytestmark = pytest.mark.storm

EVENTS = 20_000
UNTIL = datetime(2013, 1, 25, tzinfo=UTC)
"""The 20,000th flight leaves on the 24th."""
YEAR = datetime(2013, 1, 1, tzinfo=UTC)
APP_ID = "stock-faust"
WORKERS = tuple(f"stock/{instance}" for instance in INSTANCES)
BLOWS = [(name, Kind.KILL) for name in WORKERS * 3] + [(DATABASE, Kind.KILL)] * 3 + [(BROKER, Kind.KILL)]
PACE_SECONDS = 3.0
DRAIN_SECONDS = 60.0
FLOW_SECONDS_MAX = 20.0
UNCOMMITTED_SECONDS = 1.0
"""Stock Faust commits every 2.8 seconds: what a worker has counted for a second is mostly not committed."""


async def test_stock_faust_commits_lose_and_double(tmp_path: Path) -> None:
    seed = int(os.environ.get("FAKTURO_STORM_SEED") or time.time_ns() % 1_000_000)
    strikes = plan(seed, BLOWS, len(BLOWS), pace_seconds=PACE_SECONDS, freeze_seconds=0)
    print(f"\nControl: stock Faust, {EVENTS:,} events, seed {seed}: {tally(strikes)}")
    script = str(Path(__file__).with_name("control.py"))
    commands = {name: (background.python(), script, APP_ID) for name in WORKERS}
    tables = {"APP_DATADIR": str(tmp_path / "faust")}  # else Faust makes folders where the tests are started
    async with Rig(tmp_path, commands, tables, migrated=False) as rig:
        connection = await rig.connect()
        await connection.execute("CREATE SCHEMA control; CREATE TABLE control.effect (event_id text NOT NULL)")
        await connection.close()
        await rig.start_all()
        await _run(rig, strikes)
        connection = await rig.connect()
        row = await connection.fetchrow(
            "SELECT count(*) AS every, count(DISTINCT event_id) AS once FROM control.effect"
        )
        await connection.close()
    lost, doubled = EVENTS - row["once"], row["every"] - row["once"]
    print(f"Control: sent {EVENTS:,}, counted {row['every']:,}: lost={lost:,} doubled={doubled:,}")
    assert lost > 0, f"stock Faust lost nothing (seed {seed})"
    assert doubled > 0, f"stock Faust doubled nothing (seed {seed})"


async def _run(rig: Rig, strikes: list[Strike]) -> None:
    gate = Gate()
    gate.open_until(YEAR)
    channel, breaker = Channel(rig.settings, gate), Breaker(rig)
    await channel.start()
    breaker.start()
    publishing = asyncio.create_task(
        publish_usage(channel, rig.settings, flights=flights(EVENTS), until=UNTIL, on_progress=breaker.count_sent)
    )
    try:
        for strike in strikes:
            gate.open_until(YEAR + (UNTIL - YEAR) * strike.number / len(strikes))
            await _flow(rig)
            await asyncio.sleep(UNCOMMITTED_SECONDS)
            await breaker.strike(strike)
        await breaker.recovered()
        assert await publishing == EVENTS
        left = await _drain(rig)
        breaker.say(f"     drained; {sum(left.values())} records were not committed")
    finally:
        publishing.cancel()
        await breaker.stop()
        await channel.stop()


async def _flow(rig: Rig) -> None:
    """Wait until effects are being counted, so that the strike falls while events flow and not between two portions."""
    before, deadline = None, time.monotonic() + FLOW_SECONDS_MAX
    while time.monotonic() < deadline:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection = await rig.connect()
            try:
                now = await _count(connection)
            finally:
                await connection.close()
            if before is not None and now > before:
                return
            before = now
        await asyncio.sleep(0.05)


async def _drain(rig: Rig) -> Mapping[TopicPartition, int]:
    """Wait until the group's offsets have reached the end, or nothing has been counted for a while."""
    places = [TopicPartition("billing.usage", number) for number in range(PARTITIONS)]
    deadline = time.monotonic() + DRAIN_SECONDS
    connection = await rig.connect()
    left, count, still_since = {}, -1, time.monotonic()
    try:
        while time.monotonic() < deadline:
            await asyncio.sleep(1)
            left = await _uncommitted(rig, places)
            now = await _count(connection)
            if now != count:
                count, still_since = now, time.monotonic()
            if not any(left.values()) and time.monotonic() - still_since > 3:
                break
    finally:
        await connection.close()
    return left


async def _count(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM control.effect"))


async def _uncommitted(rig: Rig, places: list[TopicPartition]) -> dict[TopicPartition, int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=rig.settings.kafka)
    consumer = AIOKafkaConsumer(bootstrap_servers=rig.settings.kafka)
    try:
        await admin.start()
        await consumer.start()
        committed = await admin.list_consumer_group_offsets(APP_ID)
        ends = await consumer.end_offsets(places)
        return {
            place: ends[place] - max(committed[place].offset, 0) if place in committed else ends[place]
            for place in places
        }
    except KafkaError:
        return dict.fromkeys(places, 1)
    finally:
        await admin.close()
        await consumer.stop()
