"""Topics as the map says, made on the broker; what differs is shown."""

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.topic_admin import all_topics, apply_topics, describe_topics, wanted_configs
from fakturo.schemas.topics import INVOICES, RELAY_PROGRESS, USAGE


async def test_all_topics_are_created_once_with_what_the_map_says(settings: Settings) -> None:
    created = await apply_topics(settings)
    assert len(created) == len(all_topics())
    assert {settings.topic_prefix + name for name in ("billing.usage", "billing.usage.dlq", "billing.kpis")} < {
        *created
    }
    assert await apply_topics(settings) == []
    states = {state.topic.name: state for state in await describe_topics(settings)}
    assert {name: state.drift for name, state in states.items() if state.drift} == {}
    assert states["billing.invoices"].partitions == settings.partitions
    assert states["fakturo.relay.progress"].partitions == 1


async def test_a_topic_that_differs_or_is_missing_says_so(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    wrong = {"cleanup.policy": "compact", "max.message.bytes": "1000"}
    count = settings.partitions + 1
    await admin.create_topics([NewTopic(settings.topic_prefix + "billing.usage", count, 1, topic_configs=wrong)])
    await admin.close()
    states = {state.topic.name: state for state in await describe_topics(settings)}
    assert states["billing.invoices"].drift == ("is missing",)
    drift = " | ".join(states["billing.usage"].drift)
    assert f"has {count} partitions, the map says {settings.partitions}" in drift
    assert "cleanup.policy is compact, the map says delete" in drift


def test_kept_topics_are_never_cut_and_a_replay_keeps_the_producers_time() -> None:
    assert wanted_configs(INVOICES, replicas=1)["retention.ms"] == "-1"
    assert wanted_configs(USAGE, replicas=1)["retention.ms"] == str(30 * 86_400_000)
    replay = wanted_configs(USAGE, replicas=1, keep_producer_time=True)
    assert (replay["message.timestamp.type"], replay["retention.ms"]) == ("CreateTime", "-1")
    assert wanted_configs(RELAY_PROGRESS, replicas=1)["cleanup.policy"] == "compact"


def test_with_three_replicas_two_must_have_a_record() -> None:
    assert wanted_configs(INVOICES, replicas=3)["min.insync.replicas"] == "2"
    assert "min.insync.replicas" not in wanted_configs(INVOICES, replicas=1)
