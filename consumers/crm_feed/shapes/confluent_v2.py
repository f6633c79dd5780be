"""Confluent's Salesforce Source V2: a flat row, nothing in it of the change; what happened stands in Kafka headers.

Place     detection -> [this] -> canonical. Pure.
Form      `source.operation` INSERT, UPDATE, DELETE; `source.loading.mode` tells an event from a row that was read: a
          Historical Snapshot and Periodic Polling give whole rows (SYNC). All columns stand there, unchanged ones null;
          `source.changed.fields` and `cdc.nulled.fields` say what changed. A compound may come as JSON in a text
          (`Name`), its flat columns being empty. The key is `{"Id": ...}`.
Source    reference 3.2; a recorded message of the connector in kafka-docker-playground.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from fakturo.consumers.crm_feed.shapes.connector_headers import names_in, whole_in
from fakturo.consumers.crm_feed.shapes.keys import key_id
from fakturo.consumers.crm_feed.shapes.message import Message, Told, misshapen, missing
from fakturo.consumers.crm_feed.shapes.rows import row_version
from fakturo.consumers.crm_feed.shapes.times import milliseconds_of
from fakturo.schemas.events.change_data import Commit
from fakturo.schemas.salesforce.compounds import ADDRESS_PARTS, NAME_PARTS

NAME = "confluent_v2"
CONNECTOR = "salesforce-source-v2"
ROW_MODES = ("Historical Snapshot", "Periodic Polling")
KINDS = {"INSERT": "CREATE", "CREATE": "CREATE", "UPDATE": "UPDATE", "DELETE": "DELETE", "UNDELETE": "UNDELETE"}
_PARTS = frozenset({*ADDRESS_PARTS, *NAME_PARTS})


def matches(message: Message) -> bool:
    """Return whether the message's headers are this connector's."""
    return message.headers.get("source.connector") == CONNECTOR or "source.entity" in message.headers


def read(message: Message) -> Told:
    """Return what the message tells.

    Raises:
        SchemaError: a header or the record id is missing, or the operation is not known.
    """
    headers, row = message.headers, message.fields
    entity = headers.get("source.entity")
    if not entity:
        raise missing("the object", "$headers.source.entity")
    record_id = key_id(message) or row.get("Id")
    if not isinstance(record_id, str):
        raise missing("the record id", "$key.Id")
    kind = "DELETE" if message.body is None else _kind(headers)
    is_row = kind != "DELETE" and headers.get("source.loading.mode") in ROW_MODES
    return Told(
        src=NAME,
        entity=entity,
        record_ids=(record_id,),
        kind="SYNC" if is_row else kind,
        commit=row_version(row) if is_row else _commit(message),
        values=_opened(row),
        changed=names_in(headers, "source.changed.fields"),
        nulled=names_in(headers, "cdc.nulled.fields") or (),
        full=is_row,
    )


def _kind(headers: Mapping[str, str]) -> str:
    operation = headers.get("source.operation", "")
    if operation.upper() not in KINDS:
        raise misshapen(f"operation {operation!r:.40} is none of {', '.join(KINDS)}", "$headers.source.operation")
    return KINDS[operation.upper()]


def _commit(message: Message) -> Commit:
    headers = message.headers
    stamp = headers.get("source.commit.timestamp")
    if stamp is None:
        return row_version(message.fields) if message.fields else Commit(ts=message.recorded_ms)
    return Commit(
        ts=milliseconds_of(stamp, "$headers.source.commit.timestamp"),
        tx=headers.get("source.transaction.key"),
        seq=whole_in(headers, "source.sequence.number"),
    )


def _opened(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with the compounds that came as JSON in a text opened."""
    opened = dict(row)
    for name, value in row.items():
        if name == "Name" or name.endswith("Address"):
            opened[name] = _compound(value)
    return opened


def _compound(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith("{"):
        return value
    try:
        parts = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value  # a name may begin with a brace
    return parts if isinstance(parts, dict) and parts and parts.keys() <= _PARTS else value
