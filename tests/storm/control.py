"""The control: stock Faust, as its guide shows it, counting events into a table without identity.

Place     test_control.py starts this as a process: `python control.py APP_ID`; settings from the environment as ours.
Stock     Faust's own acknowledgements and commits, `take` for batches, its default supervisor; sessions as short as our
          agents' and static membership, so that both storms are alike. No cursor, no identity, no sequence.
Loses     an exception in the body (the database is away) ends the iterator, whose `finally` acknowledges the batch:
          Kafka's offset passes it and it is never seen again.
Doubles   a kill -9 after the insert and before the next commit (2.8 s by default) lets the batch come again.
"""

import os
import sys
from typing import Any

import asyncpg
import faust
import msgspec

from fakturo.consumers.runtime.settings import load_settings
from fakturo.schemas.topics import CLOCK_ADVANCED, USAGE

TAKE_RECORDS = 50
TAKE_SECONDS = 0.2
TICK = CLOCK_ADVANCED.encode()


class Effects:
    """The table of effects, on a connection that is opened again when it broke."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection | None = None

    async def add(self, values: list[bytes]) -> None:
        """Insert a row an event. Raises what the database raises."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._url, timeout=5)
        ids = [msgspec.json.decode(value)["id"] for value in values if TICK not in value]
        await self._connection.execute("INSERT INTO control.effect (event_id) SELECT unnest($1::text[])", ids)


def build_app(app_id: str) -> faust.App:
    """Return a stock app with one agent over the usage topic."""
    settings = load_settings()
    effects = Effects(settings.database_url)
    app = faust.App(
        app_id,
        broker=f"kafka://{settings.kafka}",
        broker_session_timeout=settings.session_seconds,
        broker_heartbeat_interval=settings.session_seconds / 4,
        consumer_group_instance_id=f"{app_id}-{settings.instance}",
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
    )
    topic = app.topic(settings.topic_prefix + USAGE.name, value_type=bytes, value_serializer="raw")

    @app.agent(topic, name="effects")
    async def count(stream: Any) -> None:
        async for values in stream.take(TAKE_RECORDS, within=TAKE_SECONDS):
            await effects.add(list(values))

    return app


if __name__ == "__main__":
    os.environ.setdefault("FAKTURO_INSTANCE", "0")
    app = build_app(sys.argv.pop(1))
    app.worker_init()
    sys.argv[1:] = ["worker", "--loglevel=warn", "--without-web"]
    app.main()
