"""One Subscribe call: the credit that the client gave, the position in the log, and the two timers.

Place     service -> [this] -> bus.read; each response is the events' bytes as the log holds them, and a tail.
Rules     - Each FetchRequest adds to the credit, which never is more than 100. Only the first says from where to read.
          - Credit and no event: an empty response after `keepalive_seconds`, with the newest replay id.
          - No credit: the stream ends `idle_close_seconds` after the last response (or the start).
          - A reset or break of the bus ends the stream as unavailable; falling behind the retention as a lost position.
Source    Pub/Sub API guide, "Subscribe RPC Method", "Pull Subscription and Flow Control"; reference 1.3.
"""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable

from fakturo.cli.sandbox.pubsub.bus import EventBus, Topic
from fakturo.cli.sandbox.pubsub.errors import BusError, invalid, replay_id_lost, unavailable
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb

LARGEST_CREDIT = 100
_LONGEST_PAUSE = 1.0  # the timers may be changed while a stream waits

Write = Callable[[bytes], Awaitable[None]]


class Subscription:
    """State of one call; `run` returns when the stream is to end well, and raises BusError when it is not."""

    def __init__(self, bus: EventBus, rpc_id: str) -> None:
        self._bus = bus
        self._rpc_id = rpc_id
        self._topic: Topic | None = None
        self._position = 0
        self._credit = 0
        self._interruptions = bus.interruptions
        self._changed = asyncio.Event()
        self._failure: BusError | None = None
        self._client_is_done = False
        self._clock = asyncio.get_running_loop().time
        self._answered_at = self._clock()

    async def run(self, requests: AsyncIterable[pb.FetchRequest], write: Write) -> None:
        """Serve until the client is done, stays without credit, or something is wrong."""
        listener = asyncio.create_task(self._listen(requests))
        try:
            with self._bus.waking(self._changed.set):
                while await self._serve(write):
                    pass
        finally:
            listener.cancel()

    async def _listen(self, requests: AsyncIterable[pb.FetchRequest]) -> None:
        try:
            async for request in requests:
                self._take(request)
                self._changed.set()
        except BusError as error:
            self._failure = error
        finally:
            self._client_is_done = True
            self._changed.set()

    def _take(self, request: pb.FetchRequest) -> None:
        if self._topic is None:
            topic = self._bus.topic(request.topic_name)
            self._position = self._start(request)
            self._topic = topic
        elif request.topic_name and request.topic_name != self._topic.name:
            raise invalid(
                "subscription.fetch.topic.mismatch",
                f"The topic {request.topic_name!r} is not the stream's, {self._topic.name!r}.",
            )
        if request.num_requested <= 0:
            raise invalid(
                "subscription.fetch.requested.events.invalid",
                f"The number of requested events must be greater than zero, not {request.num_requested}.",
            )
        self._credit = min(self._credit + request.num_requested, LARGEST_CREDIT)

    def _start(self, request: pb.FetchRequest) -> int:
        self._bus.expire()
        log = self._bus.log
        if request.replay_preset == pb.EARLIEST:
            return log.earliest
        if request.replay_preset == pb.LATEST:
            return log.end
        if not request.replay_id:
            raise invalid(
                "subscription.fetch.replayid.validation.failed", "A Replay ID is needed with the preset CUSTOM."
            )
        position = log.position_after(request.replay_id)
        if position is None:
            raise replay_id_lost()
        return position

    async def _serve(self, write: Write) -> bool:
        """Do one step; return False when the stream is over."""
        self._changed.clear()
        if self._failure is not None:
            raise self._failure
        if self._interruptions != self._bus.interruptions or self._bus.org.faults.stream_off:
            raise unavailable()
        if self._topic is not None and self._credit and await self._deliver(self._topic, write):
            return True
        if self._client_is_done and not self._credit:
            return False
        return await self._wait(write)

    async def _deliver(self, topic: Topic, write: Write) -> bool:
        if self._position < self._bus.log.earliest:
            raise replay_id_lost()
        batch = self._bus.read(topic, self._position, self._credit)
        self._position = batch.position
        if not batch.events:
            return False
        self._credit -= len(batch.events)
        await self._answer(write, batch.events, batch.replay_id)
        return True

    async def _answer(self, write: Write, events: list[bytes], replay_id: bytes) -> None:
        tail = pb.FetchResponse(latest_replay_id=replay_id, rpc_id=self._rpc_id, pending_num_requested=self._credit)
        await write(b"".join(events) + tail.SerializeToString())
        self._answered_at = self._clock()

    async def _wait(self, write: Write) -> bool:
        """Wait for a request, an event or a timer; return False when the client was without credit for too long."""
        faults = self._bus.org.faults
        seconds = faults.keepalive_seconds if self._credit else faults.idle_close_seconds
        left = self._answered_at + seconds - self._clock()
        if left > 0:
            try:
                async with asyncio.timeout(min(left, _LONGEST_PAUSE)):
                    await self._changed.wait()
            except TimeoutError:
                pass
            return True
        if not self._credit:
            return False
        newest = self._bus.mark()
        self._position = self._bus.log.end
        await self._answer(write, [], newest)
        return True
