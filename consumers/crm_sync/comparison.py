"""The org against the rows: what it holds that it should not, lacks, or holds otherwise; and all of that sent again.

Place     `fakturo salesforce written` -> [this] -> crm_sync.written; the pusher sends what is marked here.
When      after an org was restored from a backup, or somebody edited our fields: the pusher only knows what it sent.
Fair      a row counts if it was sent before the comparison began and has not changed since; what is still under way is
          no difference. A record of ours in the org that no book knows is shown and left alone.
Memory    a page of the org's rows at a time; which rows were seen is kept in a temporary table.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

import asyncpg

from fakturo.consumers.crm_sync.rows import read_fields
from fakturo.consumers.crm_sync.values import text_of
from fakturo.schemas.salesforce.written_fields import ACCOUNT, OBJECT_BY_NAME, WRITTEN_OBJECTS, WrittenField

SHOWN_MAX = 1_000
"""How many differences are named; all are counted and sent again."""

_SEEN = "CREATE TEMP TABLE crm_seen (key text PRIMARY KEY)"
_KEYS = """
SELECT w.key, w.parent_key, w.fields, a.record_id AS account_record_id,
       NOT w.dirty AND w.pushed_at < $3 AS is_settled
  FROM crm_sync.written w JOIN crm_sync.account a USING (account)
 WHERE w.entity = $1 AND w.key = ANY($2::text[])
"""
_ACCOUNT_KEYS = _KEYS.replace("w.key = ANY", "a.record_id = ANY")
_MISSING = """
SELECT w.key FROM crm_sync.written w LEFT JOIN crm_seen s ON s.key = w.key
 WHERE w.entity = $1 AND s.key IS NULL AND w.fields IS NOT NULL AND w.held IS NULL AND NOT w.dirty
   AND w.pushed_at < $2 ORDER BY w.key
"""
_AGAIN = """
UPDATE crm_sync.written w SET dirty = true, pushed_hash = NULL, generation = w.generation + 1, attempts = 0,
       retry_at = NULL, changed_at = clock_timestamp(), record_id = CASE WHEN $3 THEN NULL ELSE w.record_id END
 WHERE w.entity = $1 AND w.key = ANY($2::text[]) AND NOT w.dirty
"""


class AskableOrg(Protocol):
    """What is asked of an org."""

    def query(self, soql: str) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the rows of a query page by page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A record that is not as it is to be. `kind` is differs, missing, extra (to be gone) or unknown (not ours to say).

    `fields` gives (org, book) of each field that differs.
    """

    entity: str
    key: str
    kind: str
    fields: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)


@dataclass(slots=True)
class Comparison:
    """What was found: counts by object and kind, and the first differences."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)

    def add(self, found: Difference) -> None:
        """Count a difference, and name it if few are named yet."""
        self.counts[found.entity][found.kind] += 1
        if len(self.differences) < SHOWN_MAX:
            self.differences.append(found)


async def compare(connection: asyncpg.Connection, org: AskableOrg) -> Comparison:
    """Compare all records and mark what differs to be sent again."""
    comparison = Comparison()
    started_at = await connection.fetchval("SELECT clock_timestamp()")
    await connection.execute(_SEEN)
    try:
        for written in WRITTEN_OBJECTS:
            counts = dict.fromkeys(("compared", "differs", "missing", "extra", "unknown"), 0)
            comparison.counts[written.name] = counts
            await _compare_object(connection, org, written.name, started_at, comparison)
    finally:
        await connection.execute("DROP TABLE IF EXISTS crm_seen")
    return comparison


async def _compare_object(
    connection: asyncpg.Connection, org: AskableOrg, entity: str, started_at: datetime, comparison: Comparison
) -> None:
    async for page in org.query(soql_of(entity)):
        again: list[str] = []
        key_field = OBJECT_BY_NAME[entity].key_field
        rows = {row[key_field]: row for row in page}
        statement = _ACCOUNT_KEYS if entity == ACCOUNT else _KEYS
        told = await connection.fetch(statement, entity, list(rows), started_at)
        books = {row["account_record_id"] if entity == ACCOUNT else row["key"]: row for row in told}
        await _remember(connection, [row["key"] for row in told])
        for sent_key, row in rows.items():
            found = _difference(entity, row, books.get(sent_key), str(sent_key))
            if found is not None:
                comparison.add(found)
                again += [] if found.kind == "unknown" else [found.key]
        comparison.counts[entity]["compared"] += sum(1 for row in told if row["is_settled"])
        await connection.execute(_AGAIN, entity, again, False)
    missing = [row["key"] for row in await connection.fetch(_MISSING, entity, started_at)]
    for key in missing:
        comparison.add(Difference(entity=entity, key=key, kind="missing"))
    await connection.execute(_AGAIN, entity, missing, True)
    await connection.execute("TRUNCATE crm_seen")


async def _remember(connection: asyncpg.Connection, keys: Sequence[str]) -> None:
    await connection.execute("INSERT INTO crm_seen SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", list(keys))


def soql_of(entity: str) -> str:
    """Return the query of all that we write of an object."""
    written = OBJECT_BY_NAME[entity]
    names = {written.key_field: None, "Id": None} | {_path(one): None for one in written.fields}
    where = f" WHERE {written.key_field} != null" if written.is_ours else ""
    return f"SELECT {', '.join(names)} FROM {entity}{where}"  # noqa: S608 - SOQL, of our own names


def _path(one: WrittenField) -> str:
    if one.is_reference and one.target != ACCOUNT:
        return f"{one.reference_name}.{OBJECT_BY_NAME[one.target].key_field}"
    return one.name


def _difference(entity: str, row: Mapping[str, Any], book: asyncpg.Record | None, sent_key: str) -> Difference | None:
    if book is None:
        return None if entity == ACCOUNT else Difference(entity=entity, key=sent_key, kind="unknown")
    if not book["is_settled"]:
        return None
    if book["fields"] is None:
        return Difference(entity=entity, key=book["key"], kind="extra")
    wanted = read_fields(book["fields"])
    differing = {
        one.name: (held, told)
        for one in OBJECT_BY_NAME[entity].fields
        if one.name != OBJECT_BY_NAME[entity].key_field
        and (held := _held(one, row)) != (told := _wanted(one, wanted, book))
    }
    return Difference(entity=entity, key=book["key"], kind="differs", fields=differing) if differing else None


def _wanted(one: WrittenField, fields: Mapping[str, str | None], book: asyncpg.Record) -> str | None:
    if one.is_reference:
        told: str | None = book["account_record_id"] if one.target == ACCOUNT else book["parent_key"]
        return told
    return fields.get(one.name)


def _held(one: WrittenField, row: Mapping[str, Any]) -> str | None:
    """Return what the org holds in a field, as the text that we would have sent."""
    value: Any = row
    for part in _path(one).split("."):
        value = value.get(part) if value is not None else None
    if value is None or one.is_reference:
        return None if value is None else str(value)
    match one.kind:
        case "Number":
            return text_of(one, Decimal(value))
        case "DateTime":
            return text_of(one, datetime.fromisoformat(str(value)))
        case "Date":
            return str(value)
        case _:
            return text_of(one, value)
