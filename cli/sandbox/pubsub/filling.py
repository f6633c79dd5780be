"""Fills the bus with many events at once, for a bench: one is encoded, the others differ in record id and EventUuid.

Place     benches, rest/event_filling -> [this] -> log
Rules     The events are told, not done: no record of the org changes.
"""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from fakturo.cli.sandbox.clock import stamp_text
from fakturo.cli.sandbox.pubsub.bus import EventBus
from fakturo.cli.sandbox.pubsub.events import Told, encode
from fakturo.cli.sandbox.record_ids import record_id
from fakturo.cli.sandbox.rows import Row
from fakturo.cli.sandbox.transactions import RecordChange
from fakturo.cli.sandbox.validation import clean, field_of


def fill(bus: EventBus, entity_name: str, values: Mapping[str, Any], count: int, *, first: int = 1) -> list[str]:
    """Tell that `count` records, numbered from `first`, got `values`; return the first and the last one's id.

    A thousand-fold quicker than as many transactions.

    Raises:
        OrgError: an unknown object or field, or a value that cannot be its.
    """
    entity = bus.org.object(entity_name)
    now = bus.org.clock.now()
    changed = {field_of(entity, name).name: clean(entity, field_of(entity, name), one) for name, one in values.items()}
    row = Row(changed | {"LastModifiedDate": stamp_text(now)})
    transaction = bus.own_transaction()
    template = record_id(entity.key_prefix, 0)
    change = RecordChange(entity.name, template, "UPDATE", dict(row), Row(), row)
    told = Told(entity.name, "UPDATE", (template,), 1, change)
    _, event = encode(told, transaction, entity, bus.schemas.of(entity))
    ids = (record_id(entity.key_prefix, number) for number in range(first, first + count))
    bus.tell_like(entity.name, event, _changes(template, event.id, ids))
    return [record_id(entity.key_prefix, first), record_id(entity.key_prefix, first + count - 1)]


def _changes(template: str, template_uuid: str, ids: Iterator[str]) -> Iterator[dict[bytes, bytes]]:
    old_id, old_uuid = template.encode(), template_uuid.encode()
    start = uuid.UUID(template_uuid).int & ~(2**60 - 1)
    for number, one in enumerate(ids):
        yield {old_id: one.encode(), old_uuid: str(uuid.UUID(int=start + number)).encode()}
