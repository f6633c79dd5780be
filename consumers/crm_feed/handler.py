"""The crm_feed agent: what other people's connectors tell of Salesforce, published as canonical change records.

Place     topics of FAKTURO_CRM_TOPICS, `sf.retry` -> [this] -> reading.py -> `sf.cdc.*` -> contracts.
Time      does not pass in foreign topics, so `advance` is never due here; on `sf.cdc.*` the clock itself ticks.
Gaps      are published as they are; where FAKTURO_CRM_ORG says whose they are, with a request to read again.
Echoes    of what crm_sync wrote into the org are dropped and counted.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import msgspec

from fakturo.consumers.crm_feed.reading import Reader, Reading
from fakturo.consumers.crm_feed.rereading import request_for
from fakturo.consumers.runtime.metrics import CRM_FEED_ECHOES, CRM_FEED_MESSAGES
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.codec import encode
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.change_data import ChangeRecord
from fakturo.schemas.salesforce.echoes import is_echo
from fakturo.schemas.salesforce.resync_requests import PARTITION
from fakturo.schemas.topics import SF_RESYNC, change_data_topic


class CrmFeedAgent:
    """Foreign change messages in, change records out. `org` is the id of the org that the topics come from, if set."""

    name = "crm_feed"

    def __init__(self, reader: Reader, *, org: str | None, client_name: str) -> None:
        self._reader = reader
        self._org = org
        self._client_name = client_name

    async def handle(self, batch: Sequence[Record], tx: Transaction) -> None:
        """Publish what each message tells, in the order in which they lie; dead-letter what can't be read.

        Raises:
            WorldAway: the schema registry does not answer.
        """
        for record in batch:
            try:
                reading = await self._reader.read(record)
            except SchemaError as error:
                tx.reject(record, error.reason, str(error))
                continue
            tx.committed.append(CRM_FEED_MESSAGES.labels(record.topic, reading.shape).inc)
            self._publish(record, reading, tx)

    def _publish(self, record: Record, reading: Reading, tx: Transaction) -> None:
        changes = [self._of_org(change) for change in reading.changes]
        if changes and is_echo(changes[0], self._client_name):
            tx.committed.append(partial(CRM_FEED_ECHOES.labels(record.topic).inc, len(changes)))
            return
        for change in changes:
            tx.emit_record(change_data_topic(change.entity), change.recordId, encode(change), _headers(change))
        request = request_for(changes, int(record.recorded_at.timestamp() * 1000))
        if request is not None:
            tx.emit_record(SF_RESYNC, request.entity, encode(request), partition=PARTITION)

    def _of_org(self, change: ChangeRecord) -> ChangeRecord:
        if change.org is not None or self._org is None:
            return change
        return msgspec.structs.replace(change, org=self._org)

    async def advance(self, to: datetime, tx: Transaction) -> bool:
        """Do nothing: nothing falls due in a feed."""
        return False

    async def flush(self, tx: Transaction) -> None:
        """Do nothing: all is published at once."""


def _headers(change: ChangeRecord) -> tuple[tuple[str, bytes], ...]:
    return (
        ("sf-entity", change.entity.encode()),
        ("sf-change-type", change.changeType.encode()),
        ("sf-org", (change.org or "").encode()),
    )
