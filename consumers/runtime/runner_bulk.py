"""The bulk runner: `AIOKafkaConsumer.getmany` in a service of the agent's Faust app, for the fastest topics.

Place     broker -> [this] -> feed -> processor. Used by `usage`; 3-4 µs an event where Faust's own streams take 65-100.
Seek      on every assignment to the cursors in Postgres; until that is done nothing that was fetched is looked at.
Ahead     while one batch is applied the next is fetched and read, as much as comes by then and is not too large: a
          quiet topic is applied at once, a backlog in large batches. One transaction at a time: the slices of the next
          join on to those in flight, and are fetched again where these did not end as expected.
Errors    the client swallows what a rebalance listener raises: it is kept and raised by the loop.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from mode import Service

from fakturo.consumers.runtime.backoff import Backoff
from fakturo.consumers.runtime.bare_records import bare_records
from fakturo.consumers.runtime.consumer_options import consumer_options
from fakturo.consumers.runtime.cursor import Place
from fakturo.consumers.runtime.empty_seats import EmptySeats
from fakturo.consumers.runtime.feed import Feed
from fakturo.consumers.runtime.fetch_pacing import pace_fetches
from fakturo.consumers.runtime.fetched import Fetched
from fakturo.consumers.runtime.processor import Applied
from fakturo.consumers.runtime.received import records_of
from fakturo.consumers.runtime.records import Slice

POLL_MS = 200
COMMIT_SECONDS = 1.0
STOP_SECONDS_MAX = 2.0
IDLE_SECONDS = 0.02
AHEAD_MS = 20
"""How long a fetch waits while a batch is applied: the next one should not wait for it when that is done."""
READ_RECORDS = 1000
"""How many records are read at a time before others have their turn."""

log = structlog.get_logger(__name__)


class BulkRunner(Service, ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads the agent's topics in batches of whatever has come."""

    def __init__(self, feed: Feed, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.feed = feed
        self.consumer: AIOKafkaConsumer = None
        self._generation = 0
        self._seats = EmptySeats()
        self._is_seated = False
        self._listener_error: BaseException | None = None
        self._hinted_at = 0.0
        self._hint: asyncio.Task[None] | None = None
        self._reading: asyncio.Future[Any] | None = None
        self._ends: dict[Place, int] = {}  # how far each partition is fetched: ahead of what is applied
        self._fetching: asyncio.Task[Fetched] | None = None
        self._is_applying = False

    async def on_started(self) -> None:
        """Start reading."""
        self._reading = self.add_future(self._read())
        self.add_future(self.feed.keep_time())

    async def on_stop(self) -> None:
        """Let the batch in flight finish if it is quick; what is cancelled after that is rolled back."""
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=STOP_SECONDS_MAX)

    async def _read(self) -> None:
        backoff = Backoff(self.feed.health, "the broker")
        while not self.should_stop:
            try:
                await self._start_consumer()
                backoff.over()
                while not self.should_stop:
                    await self._round()
            except KafkaError as error:
                await backoff.rest(f"{type(error).__name__}: {error}")
            finally:
                await self._drop_consumer()

    async def _start_consumer(self) -> None:
        self.consumer = pace_fetches(AIOKafkaConsumer(**consumer_options(self.feed.settings, self.feed.agent.name)))
        await self.consumer.start()
        bare_records(self.consumer)
        self.consumer.subscribe([self.feed.broker_name(topic) for topic in self.feed.topics], listener=self)

    async def _drop_consumer(self) -> None:
        self._unseat()
        await self._drop_ahead()
        consumer, self.consumer = self.consumer, None
        if consumer is not None:
            with suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(consumer.stop(), STOP_SECONDS_MAX)

    async def _drop_ahead(self) -> None:
        fetching, self._fetching = self._fetching, None
        if fetching is not None:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)

    async def _round(self) -> None:
        """Fetch once and apply what came."""
        if self._listener_error is not None:
            error, self._listener_error = self._listener_error, None
            raise error
        if not self._is_seated:
            self.feed.health.waiting("partitions to be assigned")
            # The coordinator waits until somebody has taken its error; while seated, `getmany` does.
            self.consumer._coordinator.check_errors()
            await asyncio.sleep(IDLE_SECONDS)
            return
        self.feed.health.beat()
        has_partitions = bool(self.consumer.assignment())
        self._seats.look(self.consumer._coordinator, has_partitions=has_partitions, now=time.monotonic())
        fetching, self._fetching = self._fetching or asyncio.create_task(self._fetch_ahead()), None
        try:
            fetched = await fetching
        except asyncio.CancelledError:
            fetching.cancel()
            raise
        slices = [found for place, found in fetched.by_place.items() if place not in self.feed.stopped]
        if fetched.generation != self._generation or not self._is_seated:
            self._seek_all()
        elif slices:
            await self._apply(slices)

    async def _apply(self, slices: Sequence[Slice]) -> None:
        """Apply `slices` while the next ones are fetched."""
        self._is_applying = True
        self._fetching = asyncio.create_task(self._fetch_ahead())
        try:
            applied = await self.feed.apply(slices)
        finally:
            self._is_applying = False
        await self._act(applied)

    async def _fetch_ahead(self) -> Fetched:
        """Fetch once, and on as long as something else is applied; what came is read at once."""
        settings, fetched = self.feed.settings, Fetched(self._generation)
        while not self.should_stop and fetched.generation == self._generation:
            slices = await self._fetch(AHEAD_MS if self._is_applying else POLL_MS)
            fetched.add(slices)
            for found in slices:
                for start in range(0, len(found.records), READ_RECORDS):
                    self.feed.read_ahead(found.records[start : start + READ_RECORDS])
                    await asyncio.sleep(0)  # the database's answers get their turn
            if not self._is_applying or fetched.is_full(settings.bulk_records_max, settings.bulk_bytes_max):
                break
        return fetched

    async def _fetch(self, timeout_ms: int) -> list[Slice]:
        generation = self._generation
        try:
            fetched = await self.consumer.getmany(
                timeout_ms=timeout_ms, max_records=self.feed.settings.batch_records_max
            )
        except NoOffsetForPartitionError:
            return []  # the group has no offset of its own; ours came, or comes, by seek
        except OffsetOutOfRangeError as error:
            await self._out_of_range(error.args[0])
            return []
        if generation != self._generation or not self._is_seated:
            self._seek_all()  # fetched under an earlier assignment, or before the seek
            return []
        return [found for partition, records in fetched.items() if (found := await self._slice(partition, records))]

    async def _slice(self, partition: TopicPartition, fetched: Sequence[Any]) -> Slice | None:
        place = self._place(partition)
        start = self._ends.get(place)
        if start is None or place in self.feed.stopped:
            return None
        # The position lies behind the markers that followed, and in front of what is fetched next.
        try:
            end = await self.consumer.position(partition)
        except IllegalStateError:
            return None
        self._ends[place] = end
        records = records_of(place[0], place[1], fetched)
        return Slice(topic=place[0], partition=place[1], start_offset=start, end_offset=end, records=records)

    async def _act(self, applied: Applied) -> None:
        for gap in applied.gaps if self._is_seated else ():  # else nothing is fetched, and the cursors are asked anew
            log.warning("fetches again", reason=str(gap))
            self._generation += 1  # what was fetched ahead goes too
            self._seek((gap.topic, gap.partition))
        for place in applied.stopped:
            self._pause(place)
        if time.monotonic() - self._hinted_at >= COMMIT_SECONDS and (self._hint is None or self._hint.done()):
            self._hinted_at = time.monotonic()
            self._hint = asyncio.create_task(self._tell_broker(dict(self.feed.positions)))

    async def _tell_broker(self, positions: Mapping[Place, int]) -> None:
        """Commit to Kafka, for the lag that other people's tools show; whether it works does not matter."""
        with suppress(KafkaError, TimeoutError, AttributeError):
            await self.consumer.commit({self._partition(place): offset for place, offset in positions.items()})

    def _unseat(self) -> None:
        self._generation += 1
        self._is_seated = False
        self.feed.positions.clear()
        self._ends.clear()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Forget the positions: what is in flight commits, or meets the next owner's cursor."""
        self._unseat()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Seek to the cursors in Postgres."""
        try:
            await self._take_seats(list(assigned))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - aiokafka would swallow it: the loop raises it
            self._listener_error = error

    async def _take_seats(self, assigned: Sequence[TopicPartition]) -> None:
        generation = self._generation
        starts = await self.consumer.beginning_offsets(assigned) if assigned else {}
        places = [self._place(partition) for partition in assigned]
        offsets = await self.feed.cursors_of(places, {self._place(partition): at for partition, at in starts.items()})
        if generation != self._generation:
            return  # revoked meanwhile
        self.feed.positions.update(offsets)
        self._seek_all()
        self._generation += 1
        self._is_seated = True
        self.feed.health.assigned(len(places))
        log.info("assigned", partitions=len(places))

    async def _out_of_range(self, offsets: Mapping[TopicPartition, int]) -> None:
        partitions = list(offsets)
        starts = await self.consumer.beginning_offsets(partitions)
        places = {self._place(partition): at for partition, at in starts.items()}
        self.feed.positions |= await self.feed.cursors_of(list(places), places)
        for place in places:
            if place not in self.feed.stopped:
                self.feed.stop(place, f"the broker has no offset {self.feed.positions[place]}: its log was cut")
            self._pause(place)

    def _seek_all(self) -> None:
        for place in self.feed.positions:
            if place in self.feed.stopped:
                self._pause(place)
            else:
                self._seek(place)

    def _seek(self, place: Place) -> None:
        self._ends[place] = self.feed.positions[place]
        with suppress(IllegalStateError):
            self.consumer.seek(self._partition(place), self.feed.positions[place])

    def _pause(self, place: Place) -> None:
        with suppress(IllegalStateError):
            self.consumer.pause(self._partition(place))

    def _place(self, partition: TopicPartition) -> Place:
        return self.feed.place_of(partition.topic, partition.partition)

    def _partition(self, place: Place) -> TopicPartition:
        return TopicPartition(self.feed.broker_name(place[0]), place[1])
