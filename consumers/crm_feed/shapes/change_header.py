"""The `ChangeEventHeader` of a change event, wherever it lies: the part that four shapes share.

Place     cometd, confluent_v1, tagged_avro -> [this]. Pure.
Source    reference 2.2 and 3.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fakturo.consumers.crm_feed.shapes.event_schemas import HEADER
from fakturo.consumers.crm_feed.shapes.message import misshapen, missing
from fakturo.consumers.crm_feed.shapes.times import milliseconds_of
from fakturo.schemas.events.change_data import Commit


@dataclass(frozen=True, slots=True)
class ChangeHeader:
    """What a header says; the lists of fields are as received, names or bitmaps. `changed` None: there was no list."""

    entity: str
    record_ids: tuple[str, ...]
    kind: str
    commit: Commit
    changed: tuple[str, ...] | None
    nulled: tuple[str, ...]
    diff: tuple[str, ...]


def header_in(payload: object) -> Mapping[str, Any] | None:
    """Return the header of `payload`, None where it is no change event."""
    header = payload.get(HEADER) if isinstance(payload, dict) else None
    return header if isinstance(header, dict) else None


def read_header(header: Mapping[str, Any]) -> ChangeHeader:
    """Return what `header` says.

    Raises:
        SchemaError: object, change type, record ids or commit time are missing or none.
    """
    return ChangeHeader(
        entity=_text(header, "entityName"),
        record_ids=_list(header, "recordIds") or (),
        kind=_text(header, "changeType"),
        commit=Commit(
            ts=milliseconds_of(header.get("commitTimestamp"), f"$.{HEADER}.commitTimestamp"),
            number=_optional(header.get("commitNumber")),
            tx=_optional(header.get("transactionKey")),
            seq=_whole(header.get("sequenceNumber")),
            user=_optional(header.get("commitUser")),
            origin=_optional(header.get("changeOrigin")),
        ),
        changed=_list(header, "changedFields"),
        nulled=_list(header, "nulledFields") or (),
        diff=_list(header, "diffFields") or (),
    )


def _text(header: Mapping[str, Any], name: str) -> str:
    found = header.get(name)
    if not isinstance(found, str) or not found:
        raise missing(name, f"$.{HEADER}.{name}")
    return found


def _list(header: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    found = header.get(name)
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise misshapen("a list of texts was expected", f"$.{HEADER}.{name}")
    return tuple(found)


def _optional(value: object) -> str | None:
    return None if value is None else str(value)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
