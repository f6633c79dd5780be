"""Faust's Kafka transport with our cursor guard: what Faust believes it has committed decides nothing.

Place     broker -> [this] -> Faust's streams -> runner_faust. Written against faust-streaming 0.15.3 and pinned to it:
          `tests/integration` fails when one of the overridden methods is no longer called.
Seek      `seek_to_committed`, called at the end of every rebalance, seeks to the cursors in Postgres.
Holes     an offset that holds a transaction marker is no loss, a record that Faust has dropped is. Here, where records
          are fetched in order, each offset that was passed over is noted; a jump that is not noted is a loss.
Commit    a hint for lag tools; its failure would crash stock Faust.
Loop      the thread's event loop is asyncio's own and is left open. uvloop's stays in the main thread alone: what is
          collected in one thread would close libuv handles of the other's loop under its feet. It was suspected, not
          proved, when a worker once ended by SIGSEGV as it stopped; and closing it gains nothing, the process ends.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, cast

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.consumer import RecordMap
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from fakturo.consumers.runtime.consumer_options import consumer_options
from fakturo.consumers.runtime.cursor import Place
from fakturo.consumers.runtime.empty_seats import EmptySeats
from fakturo.consumers.runtime.feed import Feed
from fakturo.consumers.runtime.fetch_pacing import pace_fetches

TAKE_SECONDS = 0.25

log = structlog.get_logger(__name__)


class GuardedThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to the broker: our options, and the chain of what was fetched."""

    chain: dict[TP, int]
    holes: dict[tuple[TP, int], int]
    """(partition, offset of a record) -> the offset after the record before it, where the two differ."""
    out_of_range: list[TP]
    _watching: asyncio.Task[None]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.chain, self.holes, self.out_of_range = {}, {}, []

    async def on_start(self) -> None:
        """Start the client, and the watch over its coordinator."""
        await super().on_start()
        self._watching = asyncio.create_task(self._take_errors())

    async def on_thread_stop(self) -> None:
        """Stop the watch."""
        self._watching.cancel()
        await super().on_thread_stop()

    async def _take_errors(self) -> None:
        """Take what the group coordinator complains of, and ask again where it has assigned nothing.

        It waits until somebody has: `getmany` would, but Faust reaches past it and not at all during a rebalance, so
        that after a broker's restart a stock Faust consumer never joins again.
        """
        seats = EmptySeats()
        while True:
            await asyncio.sleep(TAKE_SECONDS)
            try:
                consumer = self._ensure_consumer()
                seats.look(consumer._coordinator, has_partitions=bool(consumer.assignment()), now=time.monotonic())
                consumer._coordinator.check_errors()
            except KafkaError as error:
                log.warning("the group coordinator complains", because=f"{type(error).__name__}: {error}")
            except Exception as error:  # noqa: BLE001 - its task has ended: nothing would ever join again
                await self.crash(error)
                return

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        feed: Feed = transport.feed
        return pace_fetches(AIOKafkaConsumer(**consumer_options(feed.settings, feed.agent.name)))

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Break the chain: until the next seek nothing is known to join on to anything."""
        self.chain.clear()
        self.holes.clear()
        await super().on_partitions_revoked(revoked)

    async def seek_to(self, offsets: Mapping[TP, int]) -> None:
        """Seek, and begin the chain anew there."""
        await self.call_thread(self._seek_to, offsets)

    async def _seek_to(self, offsets: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        for partition, offset in offsets.items():
            if partition in assigned:
                consumer.seek(TopicPartition(partition.topic, partition.partition), offset)
                self.chain[partition] = offset

    async def _fetch_records(self, consumer: AIOKafkaConsumer, *args: Any, **kwargs: Any) -> RecordMap:
        try:
            fetched: RecordMap = await super()._fetch_records(consumer, *args, **kwargs)
        except NoOffsetForPartitionError:
            return {}  # the group has no offset of its own; ours comes by seek
        except OffsetOutOfRangeError as error:
            self.out_of_range.extend(TP(found.topic, found.partition) for found in error.args[0])
            return {}
        for partition, records in fetched.items():
            self._note(TP(partition.topic, partition.partition), records)
        return fetched

    def _note(self, partition: TP, records: Iterable[Any]) -> None:
        position = self.chain.get(partition)
        for record in records:
            if position is not None and record.offset > position:
                self.holes[partition, record.offset] = position
            position = record.offset + 1
        if position is not None and partition in self.chain:
            self.chain[partition] = position

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        known = {partition: OffsetAndMetadata(at, "") for partition, at in offsets.items() if partition in assigned}
        try:
            await consumer.commit(known)
        except KafkaError:
            return False
        return True


class GuardedConsumer(driver.Consumer):
    """Faust's consumer, told by Postgres where to read."""

    _thread: GuardedThread

    @property
    def feed(self) -> Feed:
        """Return what the transport was given."""
        return cast(GuardedTransport, self.transport).feed

    def _new_consumer_thread(self) -> GuardedThread:
        # A loop that is given to the thread is not closed by it.
        return GuardedThread(self, loop=self.loop, beacon=self.beacon, thread_loop=asyncio.SelectorEventLoop())

    def place(self, partition: TP) -> Place:
        """Return the logical topic and the partition."""
        return self.feed.place_of(partition.topic, partition.partition)

    def partition(self, place: Place) -> TP:
        """Return what the broker calls `place`."""
        return TP(self.feed.broker_name(place[0]), place[1])

    def hole_before(self, partition: TP, offset: int) -> int:
        """Return where the fetch stood before the record at `offset`; lower than it where offsets were passed over."""
        return self._thread.holes.pop((partition, offset), offset)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget the positions; what is in flight commits, or meets the next owner's cursor."""
        self.feed.positions.clear()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Tell health."""
        await super().on_partitions_assigned(assigned, generation_id)
        self.feed.health.assigned(len(assigned))

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every assigned partition to its cursor in Postgres; Kafka's own offsets are not looked at."""
        assigned = self.assignment()
        starts = await self._log_starts(assigned)
        offsets = await self.feed.cursors_of([self.place(found) for found in assigned], starts)
        self.feed.positions.update(offsets)
        wanted = {self.partition(place): offset for place, offset in offsets.items()}
        await self._thread.seek_to(wanted)
        self.pause_stopped()
        log.info("sought", partitions=len(wanted))
        return wanted

    async def fetch_again(self, place: Place) -> None:
        """Seek back to the position of `place`."""
        partition, offset = self.partition(place), self.feed.positions.get(place)
        if offset is not None:
            await self._thread.seek_to({partition: offset})
            self._read_offset[partition] = offset or None

    def pause_stopped(self) -> None:
        """Fetch no more of what has stopped."""
        self.pause_partitions([self.partition(place) for place in self.feed.stopped])

    async def _log_starts(self, assigned: Iterable[TP]) -> dict[Place, int]:
        partitions = [TopicPartition(found.topic, found.partition) for found in assigned]
        if not partitions:
            return {}
        try:
            starts = await self._thread.earliest_offsets(*partitions)
        except KafkaError:
            return {}  # the seek itself will show it
        return {self.place(partition): offset for partition, offset in starts.items()}

    async def _wait_next_records(
        self,
        timeout: float,  # noqa: ASYNC109 - Faust's signature
    ) -> tuple[RecordMap | None, set[TP] | None]:
        if self.feed.health.waiting_for is None:
            self.feed.health.beat()
        while self._thread.out_of_range:
            place = self.place(self._thread.out_of_range.pop())
            self.feed.stop(place, f"the broker has no offset {self.feed.positions.get(place)}: its log was cut")
            self.pause_stopped()
        found: tuple[RecordMap | None, set[TP] | None] = await super()._wait_next_records(timeout)
        return found

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: Faust's own idea of a stuck consumer is wrong on quiet topics; lag is measured from Postgres."""


class GuardedTransport(driver.Transport):
    """Makes guarded consumers; `feed` is set by the runner before the app starts."""

    Consumer = GuardedConsumer
    feed: Feed
