"""The Faust runner: an ordinary Faust agent over `noack_take`, with the cursor guard under it.

Place     broker -> faust_transport -> Faust's stream -> [this] -> feed -> processor. For inputs of thousands a second.
Never     an exception leaves the agent's body: Faust would acknowledge the batch. The processor waits, dead-letters or
          stops partitions; if this file itself is wrong, the app crashes and the cursor says where to go on.
Stale     a batch taken under an earlier generation is dropped; its records come again, here or elsewhere.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any

import structlog

from fakturo.consumers.runtime.cursor import Place
from fakturo.consumers.runtime.errors import RuntimeFault
from fakturo.consumers.runtime.faust_transport import GuardedConsumer, GuardedTransport
from fakturo.consumers.runtime.feed import Feed
from fakturo.consumers.runtime.received import at_milliseconds
from fakturo.consumers.runtime.records import Headers, Record, Slice

BATCH_RECORDS_MAX = 1000
WITHIN_SECONDS = 0.05
REPLAY_WITHIN_SECONDS = 0.002
"""A replay waits for each batch to come through before it goes on: nothing is gained by collecting."""
AGAIN_SECONDS = 1.0
"""A partition is sought back at most this often: what is queued from before has to pass first."""

log = structlog.get_logger(__name__)


def require_compiled_faust() -> None:
    """Refuse to run on Faust's pure Python streams: they acknowledge events that they skip.

    Raises:
        RuntimeFault: says what to do.
    """
    if os.environ.get("NO_CYTHON"):
        raise RuntimeFault("NO_CYTHON is set: Faust's pure Python streams lose events; unset it")
    try:
        import faust._cython.streams  # noqa: F401 - whether it is there is the question
    except ImportError as error:
        raise RuntimeFault(
            "faust-streaming is installed without its compiled extensions; install the wheel of 0.15.3"
        ) from error


class FaustRunner:
    """Joins `feed` to the Faust app: transport, topics, the agent, the beat of time."""

    def __init__(self, app: Any, feed: Feed) -> None:
        require_compiled_faust()
        self.app = app
        self.feed = feed
        self._sought_at: dict[Place, float] = {}
        transport = GuardedTransport(app.conf.broker_consumer, app)
        transport.feed = feed
        app.transport = transport
        names = [feed.broker_name(topic) for topic in feed.topics]
        topic = app.topic(*names, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        app.agent(topic, name=f"fakturo.{feed.agent.name}")(self._read)
        app.task(self._keep_time)

    async def _keep_time(self) -> None:
        try:
            await self.feed.keep_time()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug of the runtime: crash, the cursor says where to go on
            await self.app.crash(error)

    async def _read(self, stream: Any) -> None:
        size = min(BATCH_RECORDS_MAX, self.feed.settings.batch_records_max)
        within = WITHIN_SECONDS if self.feed.settings.interim_seconds else REPLAY_WITHIN_SECONDS
        async for events in stream.noack_take(size, within=within):
            try:
                await self._apply(events)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - as above; and nothing is acknowledged after it
                await self.app.crash(error)
                await asyncio.sleep(3600)

    async def _apply(self, events: Sequence[Any]) -> None:
        generation = self.app.consumer_generation_id
        slices = self._slices([event for event in events if event.message.generation_id == generation])
        if slices:
            applied = await self.feed.apply(slices)
            for gap in applied.gaps:
                await self._fetch_again((gap.topic, gap.partition), str(gap))
            if applied.stopped:
                self._consumer.pause_stopped()
        await self._again_where_torn()
        for event in events:
            # A hint for lag tools, no more: where to go on is in Postgres.
            if self._consumer.place(event.message.tp) not in self.feed.stopped:
                event.ack()

    def _slices(self, events: Sequence[Any]) -> list[Slice]:
        """Return one slice a partition, as far as its records join on to the position and to each other."""
        by_place: dict[Place, list[Any]] = {}
        for event in events:
            by_place.setdefault(self._consumer.place(event.message.tp), []).append(event.message)
        self._torn: dict[Place, str] = {}
        slices = []
        for place, messages in by_place.items():
            start = self.feed.positions.get(place)
            if start is not None and place not in self.feed.stopped:
                end, records = self._join(place, start, messages)
                if records:
                    slices.append(
                        Slice(topic=place[0], partition=place[1], start_offset=start, end_offset=end, records=records)
                    )
        return slices

    def _join(self, place: Place, start: int, messages: Sequence[Any]) -> tuple[int, list[Record]]:
        end, records = start, []
        for message in messages:
            before = self._consumer.hole_before(message.tp, message.offset)
            if message.offset < end:
                continue  # fetched twice
            if before > end:
                self._torn[place] = f"the record at {message.offset} does not join on to {end}"
                break
            records.append(_record(place, message))
            end = message.offset + 1
        return end, records

    async def _again_where_torn(self) -> None:
        for place, reason in self._torn.items():
            await self._fetch_again(place, reason)

    async def _fetch_again(self, place: Place, reason: str) -> None:
        now = time.monotonic()
        if now - self._sought_at.get(place, -AGAIN_SECONDS) >= AGAIN_SECONDS:
            self._sought_at[place] = now
            log.warning("fetches again", topic=place[0], partition=place[1], reason=reason)
            await self._consumer.fetch_again(place)

    @property
    def _consumer(self) -> GuardedConsumer:
        consumer: GuardedConsumer = self.app.consumer
        return consumer


def _record(place: Place, message: Any) -> Record:
    recorded_at = at_milliseconds(round(message.timestamp * 1000))
    return Record(
        place[0], place[1], message.offset, message.key, message.value, _headers(message.headers), recorded_at
    )


def _headers(headers: Any) -> Headers:
    if not headers:
        return ()
    return tuple(headers.items()) if isinstance(headers, dict) else tuple(headers)
