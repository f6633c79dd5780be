"""Topics that other people write and an agent of ours reads: any number of partitions, no sequence, no tick.

Place     startup (before reading), feed (when a topic has grown) -> [this] -> Kafka's admin API.
Makes     only what is ours: `<topic>.dlq`, under our prefix, with at least as many partitions as the source has, so
          that a dead letter keeps its partition's number. The topics themselves are never made, changed or written:
          what `fakturo dlq replay` puts back goes to `sf.retry`.
"""

from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import InvalidPartitionsError

from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.topic_admin import REPLICAS_WANTED, raise_refused, wait_until_visible, wanted_configs
from fakturo.schemas.topics import dead_letter_topic


async def ensure_dead_letter_topics(settings: Settings, partitions: Mapping[str, int]) -> None:
    """Make the dead-letter topic of each foreign topic, or give it the partitions that the source has gained.

    Raises:
        KafkaError: the broker does not answer.
        TopicsFault: the broker refuses a topic.
    """
    if not partitions:
        return
    wanted = {settings.topic_prefix + dead_letter_topic(name).name: count for name, count in partitions.items()}
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        there = set(await admin.list_topics())
        missing = {name: count for name, count in wanted.items() if name not in there}
        if missing:
            await _create(admin, missing, partitions)
        grown = sorted(wanted.keys() - missing.keys())
        for found in await admin.describe_topics(grown) if grown else ():  # of no names it tells of all
            await _grow(admin, found["topic"], len(found["partitions"]), wanted[found["topic"]])
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, missing: Mapping[str, int], partitions: Mapping[str, int]) -> None:
    replicas = min(REPLICAS_WANTED, len((await admin.describe_cluster())["brokers"]))
    configs = wanted_configs(dead_letter_topic(next(iter(partitions))), replicas=replicas)
    new = [NewTopic(name, count, replicas, topic_configs=configs) for name, count in missing.items()]
    raise_refused(await admin.create_topics(new))
    await wait_until_visible(admin, set(missing))


async def _grow(admin: AIOKafkaAdminClient, name: str, count: int, wanted: int) -> None:
    if count >= wanted:
        return
    try:
        await admin.create_partitions({name: NewPartitions(total_count=wanted)})
    except InvalidPartitionsError:
        return  # another worker was faster
