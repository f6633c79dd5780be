"""Keeps an idle consumer from asking without a pause, where the broker does not wait for data.

Place     runners and other long-lived consumers -> [this] -> aiokafka's client.
Why       Kafka holds an empty fetch back for `fetch_max_wait_ms`. The embedded broker answers at once: an idle consumer
          then sends some 450 fetches a second, and five idle agents used more CPU than the broker and the database.
          A fetch that comes back empty before `EMPTY_SECONDS_MIN` is answered after that time. On Apache Kafka nothing
          ever comes back empty so soon, so nothing is delayed there.
Private   aiokafka has no hook for it, so `_client.send` of the one consumer is wrapped; the pin makes that safe, and a
          test fails when the attribute is gone.
"""

import asyncio
import time
from typing import Any

from aiokafka import AIOKafkaConsumer

EMPTY_SECONDS_MIN = 0.025
FETCH_API_KEY = 1


def pace_fetches(consumer: AIOKafkaConsumer) -> AIOKafkaConsumer:
    """Return `consumer`, whose empty fetches now take at least `EMPTY_SECONDS_MIN`."""
    client = consumer._client
    send = client.send

    async def paced(node_id: int, request: Any, **options: Any) -> Any:
        asked_at = time.monotonic()
        response = await send(node_id, request, **options)
        if getattr(response, "API_KEY", None) == FETCH_API_KEY and _is_empty(response):
            left = EMPTY_SECONDS_MIN - (time.monotonic() - asked_at)
            if left > 0:
                await asyncio.sleep(left)
        return response

    client.send = paced
    return consumer


def _is_empty(response: Any) -> bool:
    """Return whether no partition of the response has records (the last field of a partition)."""
    return not any(partition[-1] for _, partitions in response.topics for partition in partitions)
