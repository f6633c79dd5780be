"""What an agent waits for before it reads: its database with all migrations, its broker with all topics.

Place     worker.py, before the runner starts. Waits with back-off and says so once a minute; a restart would not help.
Later     `watch_broker` says the same of a broker that goes away while the agent runs: the clients only try again.
"""

import asyncio

from aiokafka import AIOKafkaClient
from aiokafka.errors import KafkaError

from fakturo.consumers.runtime.backoff import Backoff, patiently
from fakturo.consumers.runtime.database import Database, head, is_current
from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.consumers.runtime.feed import Feed
from fakturo.consumers.runtime.foreign_topics import ensure_dead_letter_topics
from fakturo.consumers.runtime.health import Health
from fakturo.consumers.runtime.health_checks import broker_check
from fakturo.consumers.runtime.settings import Settings

WATCH_SECONDS = 5.0


async def wait_for_database(settings: Settings, database: Database, health: Health) -> None:
    """Return once the database answers and has had every migration of this code."""
    backoff = Backoff(health, "the database")

    async def look() -> bool:
        return await is_current(settings.database_url)

    while not await patiently(look, health, "the database", database.forget_connections):
        await backoff.rest(f"its migrations are not at {head()}: run `fakturo migrate`")
    backoff.over()


async def wait_for_broker(settings: Settings, feed: Feed, health: Health) -> None:
    """Return once the broker answers and has every topic of the agent.

    Raises:
        SettingsFault: a topic has another number of partitions than FAKTURO_PARTITIONS says.
    """
    backoff = Backoff(health, "the broker")
    wanted = {feed.broker_name(topic): topic for topic in feed.topics}
    while True:
        client = AIOKafkaClient(bootstrap_servers=settings.kafka, request_timeout_ms=5000)
        try:
            await client.bootstrap()
            # Asking for all: a broker may create a topic that it is asked for by name, with whatever partitions.
            cluster = await client.fetch_all_metadata()
            found = {topic: len(cluster.partitions_for_topic(name) or ()) for name, topic in wanted.items()}
            foreign = {topic: count for topic, count in found.items() if count and topic in feed.foreign_topics}
            await ensure_dead_letter_topics(settings, foreign)
        except (KafkaError, OSError, TimeoutError) as error:
            await backoff.rest(f"{type(error).__name__}: {error}")
            continue
        finally:
            await client.close()
        missing = [feed.broker_name(topic) for topic, count in found.items() if not count]
        if not missing:
            backoff.over()
            return _check_counts(settings, {topic: found[topic] for topic in found.keys() - foreign.keys()})
        await backoff.rest(f"topics are missing ({', '.join(missing)}): {_how_to_make(missing, feed)}")


async def watch_broker(settings: Settings, health: Health) -> None:
    """Say that the broker is away, at the start and once a minute, and that it is back; for ever."""
    check = broker_check(settings)
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        well, says = await check()
        if well:
            continue
        backoff = Backoff(health, "the broker")
        while not well:
            await backoff.rest(says)
            well, says = await check()
        backoff.over()


def _how_to_make(missing: list[str], feed: Feed) -> str:
    if feed.foreign_topics.issuperset(missing):
        return "the connector whose topics FAKTURO_CRM_TOPICS names makes them"
    return "run `fakturo topics apply`"


def _check_counts(settings: Settings, found: dict[str, int]) -> None:
    for topic, count in found.items():
        if count != settings.partitions:
            raise SettingsFault(f"FAKTURO_PARTITIONS is {settings.partitions}, topic {topic} has {count} partitions")
