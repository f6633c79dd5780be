"""Asking something of the invoicing agent: one request on `billing.requests`, once the broker has it.

Place     `fakturo credits|coupons|points ...` and whoever else asks -> [this] -> billing.requests -> invoicing.
Once      the id of what is asked for is the request's own, so the same command again is a repeat and does nothing.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from fakturo.cli.connect import settings_of
from fakturo.cli.output import console, print_json
from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.consumers.runtime.settings import Settings
from fakturo.producers.publisher import make_producer, stop_producer
from fakturo.schemas.codec import encode
from fakturo.schemas.envelope import Event
from fakturo.schemas.partitioning import partition_for
from fakturo.schemas.topics import REQUESTS, Topic

STOP_SECONDS = 5.0


def request_event(event_type: str, request_id: str, account: str, data: Any) -> bytes:
    """Return the CloudEvent of a request, as it is published."""
    event = Event(
        specversion="1.0",
        id=request_id,
        source="fakturo/cli",
        type=event_type,
        subject=account,
        time=datetime.now(UTC),
        datacontenttype="application/json",
        data=data,
    )
    return encode(event)


def ask(
    home: Path,
    event_type: str,
    request_id: str,
    account: str,
    data: Any,
    *,
    as_json: bool,
    topic: Topic = REQUESTS,
) -> int:
    """Publish a request and say that it was; return the exit status. What came of it stands in the books."""
    value = request_event(event_type, request_id, account, data)
    asyncio.run(publish(settings_of(home), topic, account, value))
    if as_json:
        print_json({"id": request_id, "type": event_type, "account": account, "topic": topic.name})
    else:
        console.print(f"Asked for {request_id} ({event_type}); `fakturo dlq list` shows it if it was refused.")
    return 0


async def publish(settings: Settings, topic: Topic, account: str, value: bytes) -> None:
    """Publish a request of `account` on `topic` and wait until the broker has it."""
    producer = make_producer(settings.kafka)
    try:
        await producer.start()
        await producer.send_and_wait(
            settings.topic_prefix + topic.name,
            value,
            key=account.encode(),
            partition=partition_for(account, settings.partitions),
            headers=[("content-type", b"application/cloudevents+json")],
        )
    except (KafkaError, OSError) as error:
        raise SettingsFault(f"FAKTURO_KAFKA: the broker does not take it ({type(error).__name__}: {error})") from error
    finally:
        await stop_producer(producer, seconds=STOP_SECONDS)
