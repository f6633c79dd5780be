"""Creates the topics of `schemas/topics.py`, and shows where the broker's differ from the map.

Place     `fakturo topics apply|list`, `fakturo up` and tests -> [this] -> Kafka's admin API.
Time      topics carry the broker's append time (recorded_at); a replay asks for the producer's time instead.
Never     changes the number of partitions of a topic that is there: an account would move to another partition.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from fakturo.consumers.runtime.errors import RuntimeFault
from fakturo.consumers.runtime.settings import Settings
from fakturo.schemas.topics import (
    BRIDGE_TOPICS,
    DAY_SECONDS,
    RELAY_PROGRESS,
    SF_PROGRESS,
    TOPICS,
    Topic,
    dead_letter_topics,
)

OVERHEAD_BYTES = 65_536
"""What headers, key and batch framing may add to a body."""
SEGMENT_BYTES = 16 * 1_048_576
SEGMENT_MS = 3_600_000
REPLICAS_WANTED = 3
VISIBLE_SECONDS_MAX = 15.0
PROGRESS_TOPICS = (RELAY_PROGRESS, SF_PROGRESS)
ONE_PARTITION = (RELAY_PROGRESS, *BRIDGE_TOPICS)
"""What one writer keeps for itself, and reads whole: one partition, whatever the others have."""


class TopicsFault(RuntimeFault):
    """A topic could not be created; the text names it and the broker's reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """One topic as the broker has it; `drift` says, a sentence each, where that differs from the map."""

    name: str
    topic: Topic
    partitions: int
    replicas: int
    configs: Mapping[str, str]
    drift: tuple[str, ...]


def all_topics() -> tuple[Topic, ...]:
    """Return every topic of the map and every dead-letter topic."""
    return (*TOPICS.values(), *dead_letter_topics())


def partition_count(topic: Topic, settings: Settings) -> int:
    """Return the partitions of `topic`: one count for all, but for those of a single writer and reader."""
    return 1 if topic in ONE_PARTITION else settings.partitions


def wanted_configs(topic: Topic, *, replicas: int, keep_producer_time: bool = False) -> dict[str, str]:
    """Return the topic settings that the map asks for."""
    configs = {
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "max.message.bytes": str(topic.body_bytes_max + OVERHEAD_BYTES),
        "message.timestamp.type": "CreateTime" if keep_producer_time else "LogAppendTime",
    }
    if not topic.compacted:
        days = topic.retention_days
        configs["retention.ms"] = "-1" if days is None or keep_producer_time else str(days * DAY_SECONDS * 1000)
    if topic in PROGRESS_TOPICS:
        configs |= {"segment.bytes": str(SEGMENT_BYTES), "segment.ms": str(SEGMENT_MS)}
    if replicas >= REPLICAS_WANTED:
        configs |= {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}
    return configs


async def apply_topics(settings: Settings, *, keep_producer_time: bool = False) -> list[str]:
    """Create what is missing; return the names created. What is there is left as it is (see `describe_topics`).

    Raises:
        TopicsFault: the broker refused a topic.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        replicas = min(REPLICAS_WANTED, len((await admin.describe_cluster())["brokers"]))
        there = set(await admin.list_topics())
        missing = [topic for topic in all_topics() if settings.topic_prefix + topic.name not in there]
        new = [
            NewTopic(
                settings.topic_prefix + topic.name,
                partition_count(topic, settings),
                replicas,
                topic_configs=wanted_configs(topic, replicas=replicas, keep_producer_time=keep_producer_time),
            )
            for topic in missing
        ]
        if new:
            raise_refused(await admin.create_topics(new))
            await wait_until_visible(admin, {topic.name for topic in new})
        return [topic.name for topic in new]
    finally:
        await admin.close()


async def describe_topics(settings: Settings, *, keep_producer_time: bool = False) -> list[TopicState]:
    """Return every topic of the map as the broker has it; one that is missing has 0 partitions and says so."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        replicas = min(REPLICAS_WANTED, len((await admin.describe_cluster())["brokers"]))
        there = set(await admin.list_topics())
        names = [name for topic in all_topics() if (name := settings.topic_prefix + topic.name) in there]
        described = {found["topic"]: found for found in await admin.describe_topics(names)} if names else {}
        configs = await _configs(admin, names)
    finally:
        await admin.close()
    states = []
    for topic in all_topics():
        name = settings.topic_prefix + topic.name
        wanted = wanted_configs(topic, replicas=replicas, keep_producer_time=keep_producer_time)
        states.append(_state(topic, name, described.get(name), configs.get(name, {}), wanted, settings))
    return states


def _state(
    topic: Topic,
    name: str,
    described: Mapping[str, Any] | None,
    configs: Mapping[str, str],
    wanted: Mapping[str, str],
    settings: Settings,
) -> TopicState:
    if described is None:
        return TopicState(name=name, topic=topic, partitions=0, replicas=0, configs={}, drift=("is missing",))
    partitions = described["partitions"]
    drift = [
        f"{key} is {configs[key]}, the map says {value}"
        for key, value in wanted.items()
        if key in configs and configs[key] != value
    ]
    if len(partitions) != partition_count(topic, settings):
        drift.insert(0, f"has {len(partitions)} partitions, the map says {partition_count(topic, settings)}")
    return TopicState(
        name=name,
        topic=topic,
        partitions=len(partitions),
        replicas=len(partitions[0]["replicas"]) if partitions else 0,
        configs={key: configs[key] for key in wanted if key in configs},
        drift=tuple(drift),
    )


async def _configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for _, _, _, name, entries in response.resources:
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


def raise_refused(response: Any) -> None:
    """Raise TopicsFault where the broker refused to create a topic; one that is there already is none."""
    for name, code, *message in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise TopicsFault(f"topic {name}: {error.__name__} {message[0] if message and message[0] else ''}".rstrip())


async def wait_until_visible(admin: AIOKafkaAdminClient, names: set[str]) -> None:
    """Wait until every broker's metadata shows the topics: a client that asks too early would see none."""
    async with asyncio.timeout(VISIBLE_SECONDS_MAX):
        while not names <= set(await admin.list_topics()):  # noqa: ASYNC110 - the broker tells nobody
            await asyncio.sleep(0.05)


async def delete_topics(settings: Settings) -> None:
    """Delete every topic under this prefix: what a replay made on somebody else's broker for itself alone.

    Raises:
        TopicsFault: there is no prefix; these topics are everybody's.
    """
    if not settings.topic_prefix:
        raise TopicsFault("topics without a prefix are not deleted")
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        await admin.delete_topics([settings.topic_prefix + topic.name for topic in all_topics()])
    finally:
        await admin.close()
