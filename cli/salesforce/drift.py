"""`fakturo salesforce drift`: compares the org with the book (`contracts.record`), record by record, field by field.

Place     Org (SOQL, or Bulk 2.0 for many rows) and Postgres -> [this], with comparison.py -> a table or JSON.
Moving    the org goes on while it is compared. What differs is compared again after a pause, a few times; drift is what
          still differs then.
Memory    a page of rows at a time, and the ids of what lives in the org, to find what only the book has.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from fakturo.cli.connect import connect
from fakturo.cli.output import console, errors, print_json, print_rows
from fakturo.cli.salesforce.comparison import (
    MISSING_IN_ORG,
    BookRecord,
    Difference,
    compared_fields,
    differences,
)
from fakturo.cli.salesforce.connection import entities_of, opened_org
from fakturo.consumers.runtime.salesforce.errors import OrgRefused
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.producers.salesforce.rereading import ids_per_query
from fakturo.producers.salesforce.row_values import ReadRow, RowFault, RowPlan, plan_rows

BULK_ROWS_MIN = 20_000
PAGE_ROWS = 5_000
BOOK_ROWS = 5_000
TRIES = 4
PAUSE_SECONDS = 2.0
SHOWN = 20
AGAIN_MAX = 2_000
"""So many records that differ are compared again; where more do, the org is not just moving."""

_BOOK = """
SELECT record_id, field_values::text AS field_values,
       field_values @> '{"$deleted": true}' OR field_values @> '{"$swept": true}' AS is_deleted
  FROM contracts.record WHERE entity = $1 AND record_id = ANY ($2::text[])
"""
_LIVING = """
SELECT record_id FROM contracts.record
 WHERE entity = $1 AND record_id > $2 AND (org IS NULL OR org = $3) AND field_values @> '{"$whole": true}'
   AND NOT field_values @> '{"$deleted": true}' AND NOT field_values @> '{"$swept": true}'
 ORDER BY record_id LIMIT $4
"""


@dataclass(slots=True)
class Comparison:
    """What was compared of one object, and what differs."""

    entity: str
    org_records: int = 0
    book_records: int = 0
    compared_fields: int = 0
    note: str = ""
    differing: list[Difference] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Return the line of the table."""
        by_record = {one.record_id for one in self.differing}
        return {
            "entity": self.entity,
            "org_records": self.org_records,
            "book_records": self.book_records,
            "compared_fields": self.compared_fields,
            "differing_records": len(by_record),
            "missing_in_book": sum(not one.field and one.org == "lives" for one in self.differing),
            "missing_in_org": sum(not one.field and one.org != "lives" for one in self.differing),
            "note": self.note,
        }


def show_drift(home: Path, entities: Sequence[str], *, as_json: bool) -> int:
    """Compare, print and return the exit status: 0 the same, 1 drift."""
    compared = asyncio.run(_compare_all(home, entities))
    found = [one for each in compared for one in each.differing]
    rows = [one.row() for one in compared]
    if as_json:
        print_json(
            {"drift": bool(found), "entities": rows, "differences": [msgspec.to_builtins(one) for one in found[:1000]]}
        )
        return 1 if found else 0
    print_rows("The org and the book", rows, empty="No object to compare.", as_json=False)
    if found:
        shown = [msgspec.to_builtins(one) for one in found[:SHOWN]]
        print_rows(f"The first {len(shown)} of {len(found)} differences", shown, empty="", as_json=False)
        errors.print("fakturo salesforce: the book differs from the org; `fakturo salesforce resync` reads it again")
        return 1
    console.print("No drift.")
    return 0


async def _compare_all(home: Path, entities: Sequence[str]) -> list[Comparison]:
    connection = await connect(home)
    try:
        async with opened_org() as org:
            return [await compare(org, connection, entity) for entity in entities or entities_of(home)]
    finally:
        await connection.close()


async def compare(org: Org, connection: asyncpg.Connection, entity: str) -> Comparison:
    """Compare one object; what differs is looked at again before it is called drift."""
    result = Comparison(entity)
    try:
        described = await org.describe(entity)
        plan = plan_rows(described)
    except (OrgRefused, RowFault) as fault:
        result.note = f"not compared: {fault}"
        return result
    fields = compared_fields(described)
    result.compared_fields = len(fields)
    living: set[str] = set()
    async for rows in _all_rows(org, plan):
        living.update(row.record_id for row in rows)
        result.differing += differences(entity, fields, rows, await _book(connection, entity, rows))
    result.org_records = len(living)
    only_in_book: list[str] = []
    async for ids in _living_in_book(connection, entity, org.org_id):
        result.book_records += len(ids)
        only_in_book += (record_id for record_id in ids if record_id not in living)
    result.differing += (Difference(entity, name, "", "not there", MISSING_IN_ORG) for name in only_in_book)
    await _look_again(org, connection, plan, fields, result)
    return result


async def _look_again(
    org: Org, connection: asyncpg.Connection, plan: RowPlan, fields: dict[str, str], result: Comparison
) -> None:
    for _ in range(TRIES - 1):
        ids = sorted({one.record_id for one in result.differing})
        if not ids or len(ids) > AGAIN_MAX:
            return
        await asyncio.sleep(PAUSE_SECONDS)
        rows = [row async for page in _rows_of(org, plan, ids) for row in page]
        book = await _book_of(connection, plan.entity, ids)
        found = differences(plan.entity, fields, rows, book)
        gone = set(ids) - {row.record_id for row in rows}
        found += (
            Difference(plan.entity, name, "", "not there", MISSING_IN_ORG)
            for name in sorted(gone)
            if name in book and not book[name].is_deleted
        )
        result.differing = found


async def _all_rows(org: Org, plan: RowPlan) -> AsyncIterator[list[ReadRow]]:
    """Yield all rows that live in the org, by whichever API is the better for their number."""
    async for counted in org.query(f"SELECT COUNT(Id) n FROM {plan.entity}"):  # noqa: S608 - a name that describe told
        count = int(counted[0]["n"])
        break
    else:
        count = 0
    if count < BULK_ROWS_MIN:
        async for page in org.query(plan.soql("ORDER BY Id")):
            yield [plan.read(row) for row in page]
    else:
        async for page in org.bulk_rows(plan.soql(), PAGE_ROWS):
            yield [plan.read(row) for row in page]


async def _rows_of(org: Org, plan: RowPlan, ids: Sequence[str]) -> AsyncIterator[list[ReadRow]]:
    at_once = ids_per_query(plan)
    for start in range(0, len(ids), at_once):
        quoted = ", ".join(f"'{record_id}'" for record_id in ids[start : start + at_once])
        async for page in org.query(plan.soql(f"WHERE Id IN ({quoted})"), deleted=True):
            yield [plan.read(row) for row in page]


async def _book(connection: asyncpg.Connection, entity: str, rows: Iterable[ReadRow]) -> dict[str, BookRecord]:
    return await _book_of(connection, entity, [row.record_id for row in rows])


async def _book_of(connection: asyncpg.Connection, entity: str, ids: Sequence[str]) -> dict[str, BookRecord]:
    found = await connection.fetch(_BOOK, entity, list(ids))
    return {
        row["record_id"]: BookRecord(msgspec.json.decode(row["field_values"]), row["is_deleted"] is True)
        for row in found
    }


async def _living_in_book(connection: asyncpg.Connection, entity: str, org_id: str) -> AsyncIterator[list[str]]:
    last = ""
    while True:
        found = await connection.fetch(_LIVING, entity, last, org_id, BOOK_ROWS)
        if not found:
            return
        ids = [row["record_id"] for row in found]
        yield ids
        last = ids[-1]
