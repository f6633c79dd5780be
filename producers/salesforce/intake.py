"""Events to Kafka records: change records, the requests to read again, and what could not be decoded.

Place     stream.py -> [this] -> publishing.py, all of one batch in one transaction.
Gaps      a gap event is published as it is and, beside it, a ResyncRequest: of its records, or of the whole object
          where the event names nobody (overflow) or everybody (`001*`).
Echoes    our own writes are dropped and counted; so is an event that the bus told twice (same EventUuid, another
          replay id), as far back as the position remembers.
Bad       an event that can't be decoded is a dead letter (its bytes in base64, its schema's id, the reason), and what
          it told of is read again: its records where they could be read, else its whole object.
"""

import base64
import hashlib
import time
from collections import OrderedDict
from collections.abc import Sequence

import msgspec
import structlog

from fakturo.consumers.runtime.metrics import (
    BRIDGE_DECODE_FAILURES,
    BRIDGE_DUPLICATES,
    BRIDGE_ECHOES,
    BRIDGE_EVENTS,
    BRIDGE_RESYNC_REQUESTS,
)
from fakturo.producers.salesforce.decoding import DecodedEvent, DecodeFault, RawEvent, WriterSchema, decode_event
from fakturo.producers.salesforce.publishing import Outgoing
from fakturo.producers.salesforce.resync_requests import ResyncRequest, request_record
from fakturo.schemas.dead_letters import (
    DEAD_LETTER_AGENT_HEADER,
    DEAD_LETTER_HEADER_PREFIX,
    DEAD_LETTER_REASON_HEADER,
    DeadLetterReason,
)
from fakturo.schemas.events.change_data import ChangeRecord
from fakturo.schemas.partitioning import partition_for
from fakturo.schemas.salesforce.echoes import is_echo
from fakturo.schemas.topics import SF_OTHER, change_data_topic, dead_letter_topic

AGENT = "salesforce"
REMEMBERED_EVENTS = 128
"""How many events back a duplicate of the bus is recognised; the position carries them over a restart."""
CHANGE_TYPES = frozenset(
    {
        *("CREATE", "UPDATE", "DELETE", "UNDELETE", "SNAPSHOT"),
        *("GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW"),
    }
)
DIGEST_BYTES = 9
DIGEST_CHARACTERS = 12

log = structlog.get_logger(__name__)
_encoder = msgspec.json.Encoder()


def change_record_out(change: ChangeRecord, partitions: int) -> Outgoing:
    """Return the Kafka record of `change`: to its object's topic, by record id, with headers to route by."""
    return Outgoing(
        topic=change_data_topic(change.entity).name,
        partition=partition_for(change.recordId, partitions),
        key=change.recordId.encode(),
        value=_encoder.encode(change),
        timestamp_ms=max(change.commit.ts, 0),
        headers=(
            ("sf-entity", change.entity.encode()),
            ("sf-change-type", change.changeType.encode()),
            ("sf-org", (change.org or "").encode()),
        ),
    )


def entity_label(entity: str | None) -> str:
    """Return the label of a metric: the object where it has a topic of its own, else `other`."""
    topic = SF_OTHER if entity is None else change_data_topic(entity)
    return topic.name.removeprefix("sf.cdc.")


class Intake:
    """Turns events into records; `remembered` is what it said before of the newest events, of a position."""

    def __init__(self, org_id: str, partitions: int, client_name: str, remembered: str = "") -> None:
        self._org_id = org_id
        self._partitions = partitions
        self._client_name = client_name
        starts = range(0, len(remembered), DIGEST_CHARACTERS)
        self._seen = OrderedDict.fromkeys(remembered[start : start + DIGEST_CHARACTERS] for start in starts)
        self.committed_ms: int | None = None

    @property
    def remembered(self) -> str:
        """Return the digests of the newest events, oldest first, one after the other."""
        return "".join(self._seen)

    def take(self, event: RawEvent, schema: WriterSchema) -> list[Outgoing]:
        """Return the Kafka records of `event`, none for an echo or a duplicate."""
        try:
            decoded = decode_event(event, schema, self._org_id)
        except DecodeFault as fault:
            return self.undecodable(event, fault)
        if self._is_known(event.event_id, [change.recordId for change in decoded.changes]):
            BRIDGE_DUPLICATES.inc()
            return []
        change = decoded.changes[0]
        self.committed_ms = max(self.committed_ms or 0, change.commit.ts)
        if is_echo(change, self._client_name):
            BRIDGE_ECHOES.inc(len(decoded.changes))
            return []
        kind = change.changeType if change.changeType in CHANGE_TYPES else "other"
        BRIDGE_EVENTS.labels(entity_label(change.entity), kind).inc(len(decoded.changes))
        records = [change_record_out(one, self._partitions) for one in decoded.changes]
        return records + self._reread(event, decoded)

    def _reread(self, event: RawEvent, decoded: DecodedEvent) -> list[Outgoing]:
        if decoded.reread is None:
            return []
        change = decoded.changes[0]
        return self._request(
            event, change.entity, [one.recordId for one in decoded.changes], change.commit.ts, decoded.reread
        )

    def _request(
        self, event: RawEvent, entity: str, record_ids: Sequence[str], gap_ms: int | None, reason: str
    ) -> list[Outgoing]:
        """Return the request to read again; of the whole object where an id stands for nobody or everybody."""
        is_whole = reason == "overflow" or not record_ids or any(_stands_for_many(one) for one in record_ids)
        BRIDGE_RESYNC_REQUESTS.labels(reason).inc()
        request = ResyncRequest(
            org=self._org_id,
            entity=entity,
            record_ids=None if is_whole else tuple(record_ids),
            gap_ms=gap_ms,
            reason=reason,
            requested_at_ms=int(time.time() * 1000),
            request_id=event.event_id,
        )
        return [request_record(request)]

    def undecodable(self, event: RawEvent, fault: DecodeFault) -> list[Outgoing]:
        """Return the dead letter of an event that can't be decoded, and the request to read what it told of."""
        entity = fault.entity
        BRIDGE_DECODE_FAILURES.labels(entity_label(entity)).inc()
        log.error(
            "an event can't be decoded: it is a dead letter, and what it told of is read again",
            event_id=event.event_id,
            schema_id=event.schema_id,
            entity=entity,
            reason=str(fault),
        )
        letters = [self._dead_letter(event, fault)]
        if entity is None:
            return letters
        return letters + self._request(event, entity, fault.record_ids, fault.commit_ms, "undecodable")

    def _dead_letter(self, event: RawEvent, fault: DecodeFault) -> Outgoing:
        body = {
            "event_id": event.event_id,
            "schema_id": event.schema_id,
            "replay_id": base64.b64encode(event.replay_id).decode(),
            "payload": base64.b64encode(event.payload).decode(),
            "entity": fault.entity,
            "record_ids": fault.record_ids,
            "error": str(fault),
        }
        topic = SF_OTHER if fault.entity is None else change_data_topic(fault.entity)
        partition = partition_for(event.event_id, self._partitions)
        return Outgoing(
            topic=dead_letter_topic(SF_OTHER.name).name,
            partition=partition,
            key=event.event_id.encode(),
            value=_encoder.encode(body),
            timestamp_ms=fault.commit_ms or int(time.time() * 1000),
            headers=(
                (f"{DEAD_LETTER_HEADER_PREFIX}topic", topic.name.encode()),
                (f"{DEAD_LETTER_HEADER_PREFIX}partition", str(partition).encode()),
                (f"{DEAD_LETTER_HEADER_PREFIX}group", AGENT.encode()),
                (f"{DEAD_LETTER_HEADER_PREFIX}message", str(fault).encode("utf-8", "backslashreplace")),
                (DEAD_LETTER_REASON_HEADER, DeadLetterReason.UNKNOWN_SHAPE.encode()),
                (DEAD_LETTER_AGENT_HEADER, AGENT.encode()),
            ),
        )

    def _is_known(self, event_id: str, record_ids: Sequence[str]) -> bool:
        """Return whether this event was taken before, and remember it.

        Enriched events come one record id each with one EventUuid, so the record ids belong to the identity.
        """
        if not event_id:
            return False
        text = "/".join((event_id, *record_ids)).encode()
        digest = base64.b64encode(hashlib.blake2b(text, digest_size=DIGEST_BYTES).digest()).decode()
        if digest in self._seen:
            return True
        self._seen[digest] = None
        if len(self._seen) > REMEMBERED_EVENTS:
            self._seen.popitem(last=False)
        return False


def _stands_for_many(record_id: str) -> bool:
    """Return whether a record id is a wildcard (`001*`) or nobody's (all zeroes)."""
    return "*" in record_id or record_id.strip("0A") == ""
