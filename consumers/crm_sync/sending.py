"""A row as the record that is sent.

Place     push_store (rows taken) -> [this] -> Org. Pure.
Parents   by record id where we know it (the Account of an invoice), by external id where the parent is ours.
"""

from dataclasses import dataclass
from typing import Any

from fakturo.consumers.crm_sync.rows import read_fields
from fakturo.consumers.crm_sync.values import sent_value
from fakturo.schemas.salesforce.written_fields import ACCOUNT, OBJECT_BY_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenRow:
    """A row that is under way. `record_id` is what the org called it when it was last written."""

    entity: str
    key: str
    parent_key: str | None
    fields: str | None
    hash: bytes
    generation: int
    attempts: int
    record_id: str | None
    account_record_id: str

    @property
    def sent_key(self) -> str:
        """Return what the org finds the record by."""
        return self.account_record_id if self.entity == ACCOUNT else self.key


def record_of(row: TakenRow) -> dict[str, Any]:
    """Return the record of a row that has fields."""
    written = OBJECT_BY_NAME[row.entity]
    texts = read_fields(row.fields or "{}")
    record: dict[str, Any] = {written.key_field: row.sent_key}
    for field in written.fields:
        if field.is_reference and field.target == ACCOUNT:
            record[field.name] = row.account_record_id
        elif field.is_reference and row.parent_key is not None:
            record[field.reference_name] = {OBJECT_BY_NAME[field.target].key_field: row.parent_key}
        elif field.name in texts:
            record[field.name] = sent_value(field, texts[field.name])
    return record


def soql_text(value: str) -> str:
    """Return `value` as a text of SOQL."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
