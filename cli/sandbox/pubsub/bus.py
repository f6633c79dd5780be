"""The event bus of the sandbox org: hears of every commit, tells it as change events, and knows the topics.

Place     SandboxOrg.listeners -> [this] -> log; service, rest/event_schema and benches read it.
Rules     - Each event is encoded once, when it is committed, with the schema that its object has at that moment.
          - What `org.faults` asks for happens here: gaps, overflow, repeats, events that are never told, an outage.
          - Only objects that are selected for Change Data Capture are told; a sequence number stays free for the rest.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from fakturo.cli.sandbox.allocations import DELIVERED_EVENTS
from fakturo.cli.sandbox.clock import epoch_ms
from fakturo.cli.sandbox.metadata import SObject
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.pubsub.errors import delivery_exceeded, invalid, topic_not_found
from fakturo.cli.sandbox.pubsub.events import NO_RECORD, Told, encode, encode_platform_event, told_of
from fakturo.cli.sandbox.pubsub.log import PLATFORM_EVENT, Batch, EventLog
from fakturo.cli.sandbox.pubsub.schemas import EventSchema, SchemaBook, is_platform_event
from fakturo.cli.sandbox.transactions import CommittedTransaction
from fakturo.producers.salesforce.pubsub_api import pubsub_api_pb2 as pb

ALL_CHANGES = "/data/ChangeEvents"
RESPONSE_BYTES = 3_000_000
_END_OF_TIME = 2**62


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: its object where it has one alone; `channel` names a custom one of several."""

    name: str
    entity: SObject | None = None
    channel: str | None = None

    @property
    def can_publish(self) -> bool:
        """Return whether clients may publish to it: platform events, not what the org tells itself."""
        return self.name.startswith(PLATFORM_EVENT)


class EventBus:
    """One for an org. `interruptions` counts what ended all open streams."""

    def __init__(self, org: SandboxOrg, *, seed: int = 1) -> None:
        self.org = org
        self.log = EventLog(seed)
        self.schemas = SchemaBook()
        self.interruptions = 0
        self._was_off = False
        self._wakers: set[Callable[[], None]] = set()
        org.listeners.append(self.tell)
        org.faults.on("stream_reset", lambda _value: self.reset())
        org.faults.on("disconnect", lambda _value: self.disconnect())
        org.faults.on("field_conversion", self.tell_whole_object_gap)

    def tell(self, transaction: CommittedTransaction) -> None:
        """Log the events of a transaction, or what the faults make of them."""
        self.expire()
        faults = self.org.faults
        if faults.stream_off:
            return
        told = told_of(transaction, self._schema_of, merge=faults.merge, overflow_changes=faults.overflow_changes)
        for event in self._overflown(told):
            if is_platform_event(event.entity):
                self._log_platform_event(event, transaction)
            elif self._is_captured(event.entity):
                self._log(event, transaction)
        self._wake()

    def tell_whole_object_gap(self, name: str) -> None:
        """Tell that every record of an object may have changed, as after a change of a field's type.

        Raises:
            ValueError: the org does not have the object.
        """
        if name not in self.org.objects:
            raise ValueError(f"field_conversion: there is no object {name!r}")
        entity = self.org.objects[name]
        transaction = self.own_transaction()
        told = Told(name, "GAP_UPDATE", (f"{entity.key_prefix}*",), 1, None)
        self._log(told, transaction)
        self._wake()

    def topic(self, name: str) -> Topic:
        """Return a topic.

        Raises:
            BusError: topic.validation.empty, topic.not.found.
        """
        if not name:
            raise invalid("topic.validation.empty", "The topic name is empty.")
        kind, _, last = name.strip("/").partition("/")
        if name == ALL_CHANGES:
            return Topic(name)
        if kind == "data" and last in self.org.channels:
            return Topic(name, channel=last)
        for entity in self.org.objects.values():
            if kind == "data" and entity.event_name == last and not is_platform_event(entity.name):
                return Topic(name, entity)
            if kind == "event" and entity.name == last and is_platform_event(entity.name):
                return Topic(name, entity)
        raise topic_not_found(name)

    def schema(self, schema_id: str) -> EventSchema | None:
        """Return a schema by id, the present ones of all objects among them."""
        found = self.schemas.by_id(schema_id)
        if found is None:
            for entity in self.org.objects.values():
                self.schemas.of(entity)
            found = self.schemas.by_id(schema_id)
        return found

    def read(self, topic: Topic, position: int, limit: int) -> Batch:
        """Return the next events of a topic, counted as delivered.

        Raises:
            BusError: subscription.limit.exceeded, when the org's allocation of 24 hours is used up.
        """
        self.expire()
        allocation = self.org.faults.event_allocation
        if allocation is not None:
            limit = min(limit, allocation - self.org.allocations.used(DELIVERED_EVENTS))
        if limit <= 0:
            raise delivery_exceeded()
        batch = self.log.read(position, self.members(topic), limit, RESPONSE_BYTES)
        if batch.events:
            self.org.allocations.use(DELIVERED_EVENTS, len(batch.events))
        return batch

    def members(self, topic: Topic) -> frozenset[str] | None:
        """Return which of the log's topics a topic has now; None is every change event."""
        if topic.entity is not None:
            return frozenset({topic.name if topic.can_publish else topic.entity.name})
        if topic.channel is not None:
            return frozenset(self.org.channels[topic.channel])
        chosen = frozenset(name for name, entity in self.org.objects.items() if entity.cdc)
        return None if all(objects <= chosen for objects in self.org.channels.values()) else chosen

    def mark(self) -> bytes:
        """Return the replay id of the present end, for a keep-alive."""
        return self.log.mark(self.now_ms())

    def publish(self, topic: Topic, event: pb.ProducerEvent) -> bytes:
        """Log a platform event and return its replay id."""
        replay_id = self.log.append(topic.name, self.now_ms(), event)
        self._wake()
        return replay_id

    def tell_like(self, topic: str, event: pb.ProducerEvent, changes: Iterable[dict[bytes, bytes]]) -> None:
        """Log copies of an event that differ in some bytes, see EventLog.append_like."""
        self.log.append_like(topic, self.now_ms(), event, changes)
        self._wake()

    def own_transaction(self) -> CommittedTransaction:
        """Return a transaction of the platform itself, for what no client did."""
        return CommittedTransaction(
            at=self.org.clock.now(),
            commit_number=self.org.next_commit_number(),
            key=f"{self.log.end:032x}",
            user_id="",
            client="",
            api="",
            version="",
        )

    def close(self) -> None:
        """Hear no more of the org's commits."""
        self.org.listeners.remove(self.tell)

    def reset(self) -> None:
        """Make all replay ids invalid and end all streams, as a move to another instance does."""
        self.log.reset()
        self.disconnect()

    def disconnect(self) -> None:
        """End all open streams as unavailable; their positions stay good."""
        self.interruptions += 1
        self._wake()

    def expire(self) -> None:
        """Let go of what is older than the retention by the org's clock: everything, after the stream was off."""
        kept = timedelta(seconds=self.org.faults.retention_seconds)
        self.log.expire(_END_OF_TIME if self._was_off else epoch_ms(self.org.clock.now() - kept))
        self._was_off = self.org.faults.stream_off

    def now_ms(self) -> int:
        """Return the org's time."""
        return epoch_ms(self.org.clock.now())

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Have `wake` called after each commit, publication and reset."""
        self._wakers.add(wake)
        try:
            yield
        finally:
            self._wakers.discard(wake)

    def _wake(self) -> None:
        for wake in list(self._wakers):
            wake()

    def _is_captured(self, name: str) -> bool:
        return self.org.objects[name].cdc or any(name in objects for objects in self.org.channels.values())

    def _log_platform_event(self, told: Told, transaction: CommittedTransaction) -> None:
        """Publish what was created over REST as a record of a platform event; no record stays."""
        if told.kind != "CREATE" or told.change is None:
            return
        for number, record_id in enumerate(told.record_ids):
            event = encode_platform_event(told, number, transaction, self._schema_of(told.entity))
            self.log.append(f"{PLATFORM_EVENT}{told.entity}", epoch_ms(transaction.at), event)
            self.org.tables[told.entity].put(record_id, None)

    def _schema_of(self, entity_name: str) -> EventSchema:
        return self.schemas.of(self.org.objects[entity_name])

    def _overflown(self, told: list[Told]) -> Iterator[Told]:
        """Yield the events; of an object that is to overflow one GAP_OVERFLOW in place of its first."""
        overflown = {
            entity
            for entity in dict.fromkeys(event.entity for event in told)
            if self.org.faults.take("overflow", entity)
        }
        seen = set[str]()
        for event in told:
            if event.entity not in overflown:
                yield event
            elif event.entity not in seen:
                seen.add(event.entity)
                yield replace(event, kind="GAP_OVERFLOW", record_ids=(NO_RECORD,), change=None)

    def _log(self, told: Told, transaction: CommittedTransaction) -> None:
        faults, entity = self.org.faults, self.org.objects[told.entity]
        if faults.take("drop_events", told.entity):
            return
        if not told.is_gap and faults.take("gap", told.entity):
            told = told.as_gap()
        schema = self.schemas.of(entity)
        singly = faults.enriched and not told.is_gap and len(told.record_ids) > 1
        events = [replace(told, record_ids=(one,)) for one in told.record_ids] if singly else [told]
        at_ms = epoch_ms(transaction.at)
        for index, each in enumerate(events):
            _, event = encode(each, transaction, entity, schema, text_diff=faults.text_diff)
            self.log.append(entity.name, at_ms, event, shared_id=index > 0)
            if faults.take("duplicate"):
                self.log.append(entity.name, at_ms, event)
