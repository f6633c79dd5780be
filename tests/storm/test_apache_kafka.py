"""The real broker as we start it: what it acknowledged is there after a kill -9, and it makes no topic by itself."""

from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from fakturo.cli.stack.kafka import ApacheKafka

pytestmark = pytest.mark.storm


async def _names(bootstrap: str) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    names = await admin.list_topics()
    await admin.close()
    return sorted(name for name in names if not name.startswith("__"))


async def test_a_killed_node_comes_back_with_its_records_on_its_port(tmp_path: Path) -> None:
    with ApacheKafka(tmp_path) as kafka:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic("kept", 1, 1)])
        await admin.close()
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id="writer")
        await producer.start()
        async with producer.transaction():
            await producer.send_and_wait("kept", b"committed", partition=0)
        await producer.begin_transaction()
        await producer.send_and_wait("kept", b"open", partition=0)
        before = kafka.bootstrap
        kafka.kill()
        kafka.restart()
        assert kafka.bootstrap == before
        await producer.abort_transaction()
        await producer.stop()
        consumer = AIOKafkaConsumer(
            "kept", bootstrap_servers=before, auto_offset_reset="earliest", isolation_level="read_committed"
        )
        await consumer.start()
        assert (await consumer.getone()).value == b"committed"
        assert await consumer.getmany(timeout_ms=1500) == {}
        assert await consumer.position(TopicPartition("kept", 0)) == 4  # two records, two markers
        await consumer.stop()
        assert await _names(before) == ["kept"]
