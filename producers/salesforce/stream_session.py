"""One Subscribe call from its opening to its end: events in, one Kafka transaction after the other, then credit again.

Place     subscriber (the call) -> [this] -> intake.py -> publishing.py; stream.py decides what comes after the end.
Credit    at most 100 events are asked for or in our hands; more is asked for only when Kafka has acknowledged, and
          when less than 50 are outstanding. So while Kafka is away the org stops by itself.
Pipeline  while one transaction commits, the next events are decoded; what is ready goes into the next transaction.
Timers    without credit the org closes after 60 s: we close before, on purpose, and the stream is opened again when
          Kafka is back. With credit it says something every 270 s: after 300 s of silence the stream is dead.
"""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import structlog

from fakturo.consumers.runtime.metrics import BRIDGE_CREDIT, BRIDGE_PUBLISH_SECONDS
from fakturo.consumers.runtime.tasks import end_tasks
from fakturo.producers.salesforce.decoding import DecodeFault, RawEvent
from fakturo.producers.salesforce.intake import Intake
from fakturo.producers.salesforce.position import ReplayPlace, StreamPosition, encode_position
from fakturo.producers.salesforce.progress import HEARD_SECONDS_MAX, StreamProgress
from fakturo.producers.salesforce.publishing import Outgoing, PositionedPublisher
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb
from fakturo.producers.salesforce.subscriber import BusClient

CREDIT_MAX = 100
TOP_UP_BELOW = 50
CHUNK_EVENTS = 25
WATCH_SECONDS = 1.0
NO_CREDIT_SECONDS_MAX = 45.0
"""The org closes after 60 s; what is on its way then would be lost in the closing, and asked for twice."""

Opening = Callable[[bytes], Sequence[Outgoing]]
"""Gives what is published with the first position, which it is given: the requests to read everything again."""

log = structlog.get_logger(__name__)


class StreamEnded(Exception):
    """The stream ended without an error of the org: it closed, or we did; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo:
    """The timers of a session, in seconds."""

    no_credit: float = NO_CREDIT_SECONDS_MAX
    silence: float = HEARD_SECONDS_MAX
    watch: float = WATCH_SECONDS


@dataclass(frozen=True, slots=True)
class Taken:
    """What some events became. `passed_ms` is what the org's clock had reached; `events` is the credit they took."""

    records: list[Outgoing]
    events: int
    replay_id: bytes
    remembered: str
    committed_ms: int | None
    passed_ms: int | None


class StreamSession:
    """One call. `position` is what was published last, and moves with every transaction."""

    def __init__(
        self,
        client: BusClient,
        publisher: PositionedPublisher,
        intake: Intake,
        progress: StreamProgress,
        ask_time_ms: Callable[[], Awaitable[int | None]],
        *,
        tempo: Tempo,
        fetch_pause_seconds: float = 0.0,
    ) -> None:
        self.position: StreamPosition | None = None
        self.heard_anything = False
        self._client = client
        self._publisher = publisher
        self._intake = intake
        self._progress = progress
        self._ask_time_ms = ask_time_ms
        self._tempo = tempo
        self._fetch_pause_seconds = fetch_pause_seconds
        self._place = ReplayPlace()
        self._opening: Opening | None = None
        self._ready: asyncio.Queue[Taken | None] = asyncio.Queue()
        self._call: Any = None
        self._outstanding = 0
        self._in_hand = 0
        self._answered_at = 0.0
        self._closed_because: str | None = None

    async def run(self, first: pb.FetchRequest, opening: Opening | None = None) -> None:
        """Stream until the call ends; what was received is published before this raises.

        Raises:
            BusFault: the org ended the call with an error, or a schema can't be had.
            StreamEnded: it ended without one.
            Fenced, RecordRefused: see publishing.py.
        """
        self._opening = opening
        if first.replay_id:
            self._place.settled(first.replay_id)
        first.num_requested = self._outstanding = CREDIT_MAX
        self._call = await self._client.subscribe(first)
        self._answered_at = time.monotonic()
        reading = asyncio.create_task(self._read())
        publishing = asyncio.create_task(self._publish())
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait((reading, publishing), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                self._ready.put_nowait(None)
                await publishing
            else:
                publishing.result()
            await reading
        finally:
            self._call.cancel()
            await end_tasks((reading, publishing, watching))
            BRIDGE_CREDIT.set(0)

    async def _read(self) -> None:
        while True:
            response = await self._next_response()
            self._answered_at = time.monotonic()
            self._progress.heard()
            self.heard_anything = True
            if response.events:
                self._outstanding -= len(response.events)
                self._in_hand += len(response.events)
                BRIDGE_CREDIT.set(self._outstanding)
                await self._take(response.events)
            elif response.latest_replay_id:
                self._place.settled(response.latest_replay_id)
                self._hand_over([], 0, await self._ask_time_ms())

    async def _next_response(self) -> Any:
        try:
            response = await self._call.read()
        except asyncio.CancelledError:
            if self._closed_because is None:
                raise
            raise StreamEnded(self._closed_because) from None
        except grpc.aio.AioRpcError as error:
            if self._closed_because is not None:
                raise StreamEnded(self._closed_because) from None
            raise self._client.fault_of(error) from None
        if response is grpc.aio.EOF:  # type: ignore[attr-defined]
            raise StreamEnded("the org closed the stream")
        return response

    async def _take(self, events: Sequence[Any]) -> None:
        for start in range(0, len(events), CHUNK_EVENTS):
            chunk = events[start : start + CHUNK_EVENTS]
            records: list[Outgoing] = []
            for one in chunk:
                records += await self._records_of(one)
                self._place.passed(one.replay_id)
            self._hand_over(records, len(chunk), self._intake.committed_ms)
            await asyncio.sleep(0)  # the publisher begins with these while the next ones are decoded

    async def _records_of(self, one: Any) -> list[Outgoing]:
        event = RawEvent(
            event_id=one.event.id, schema_id=one.event.schema_id, payload=one.event.payload, replay_id=one.replay_id
        )
        schema = self._client.known_schema(event.schema_id)
        if schema is None:
            try:
                schema = await self._client.schema(event.schema_id)
            except DecodeFault as fault:
                return self._intake.undecodable(event, fault)
        return self._intake.take(event, schema)

    def _hand_over(self, records: list[Outgoing], events: int, passed_ms: int | None) -> None:
        replay_id = self._place.safe
        if replay_id is None:
            raise StreamEnded("the org sent an event without a replay id")
        intake = self._intake
        self._ready.put_nowait(Taken(records, events, replay_id, intake.remembered, intake.committed_ms, passed_ms))

    async def _publish(self) -> None:
        while (taken := await self._ready.get()) is not None:
            batch = [taken]
            is_last = False
            while not self._ready.empty() and not is_last:
                more = self._ready.get_nowait()
                is_last = more is None
                batch += [] if more is None else [more]
            await self._publish_batch(batch)
            if is_last:
                return
            await self._top_up()

    async def _publish_batch(self, batch: Sequence[Taken]) -> None:
        newest = batch[-1]
        records = [record for taken in batch for record in taken.records]
        if self._opening is not None:
            records = [*self._opening(newest.replay_id), *records]
        position = StreamPosition(
            replay_id=base64.b64encode(newest.replay_id).decode(),
            at_ms=int(time.time() * 1000),
            committed_ms=newest.committed_ms,
            remembered=newest.remembered,
        )
        started_at = time.monotonic()
        await self._publisher.publish(records, encode_position(position))
        BRIDGE_PUBLISH_SECONDS.observe(time.monotonic() - started_at)
        self._opening = None
        self.position = position
        self._in_hand -= sum(taken.events for taken in batch)
        self._progress.waiting = None
        self._progress.published(newest.passed_ms)

    async def _top_up(self) -> None:
        wanted = CREDIT_MAX - self._outstanding - self._in_hand
        if self._outstanding >= TOP_UP_BELOW or wanted <= 0:
            return
        if self._fetch_pause_seconds:
            await asyncio.sleep(self._fetch_pause_seconds)
        try:
            await self._call.write(pb.FetchRequest(topic_name=self._client.channel_name, num_requested=wanted))
        except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
            return  # the call is over: the reader says why
        self._outstanding += wanted
        self._answered_at = time.monotonic()
        BRIDGE_CREDIT.set(self._outstanding)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._tempo.watch)
            still_seconds = time.monotonic() - self._answered_at
            if self._outstanding <= 0 and still_seconds >= self._tempo.no_credit:
                return self._close("Kafka has not acknowledged for too long to keep the stream open without credit")
            if self._outstanding > 0 and still_seconds >= self._tempo.silence:
                return self._close(f"the org has said nothing for {still_seconds:.0f} s")

    def _close(self, reason: str) -> None:
        log.warning("the stream is closed on purpose", because=reason)
        self._closed_because = reason
        self._call.cancel()
