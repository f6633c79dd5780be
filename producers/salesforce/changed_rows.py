"""The rows of an object that changed in a span of time, in the order of their stamps, read page by page.

Place     snapshot (what changed while it read), reconciliation -> [this] -> Org.query.
Cursor    stamp and id together: stamps are not unique, and a cursor of the stamp alone loses or repeats rows of equal
          seconds (Airbyte #27146, Supaglue #532). Deleted rows come too.
Moving    a row that changes between being listed and being read comes with a stamp after the span: it is left out, and
          found in the span that follows.
"""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.producers.salesforce.row_values import ReadRow, RowPlan, instant_soql


class Cursor(msgspec.Struct, frozen=True, order=True):
    """The last row that was taken: its stamp in milliseconds since 1970, and its id ("": all of that stamp were)."""

    stamp_ms: int
    record_id: str = ""


async def changed_rows(
    org: Org, plan: RowPlan, after: Cursor, until_ms: int | None, *, also: str = ""
) -> AsyncIterator[list[ReadRow]]:
    """Yield the rows after the cursor and up to `until_ms` (None: all there are); `also` is one more condition."""
    condition = after_condition(plan, after)
    if until_ms is not None:
        condition += f" AND {plan.stamp} <= {instant_soql(until_ms)}"
    if also:
        condition += f" AND {also}"
    soql = plan.soql(f"WHERE {condition} ORDER BY {plan.stamp}, Id")
    async for page in org.query(soql, deleted=True):
        if rows := _settled(plan, page, until_ms):
            yield rows


async def has_changed_after(org: Org, plan: RowPlan, after_ms: int, also: str) -> bool:
    """Return whether any row has a stamp after `after_ms`."""
    condition = f"{plan.stamp} > {instant_soql(after_ms)}" + (f" AND {also}" if also else "")
    soql = f"SELECT Id FROM {plan.entity} WHERE {condition} LIMIT 1"  # noqa: S608 - SOQL of names that describe told
    async for page in org.query(soql, deleted=True):
        return bool(page)
    return False


def after_condition(plan: RowPlan, after: Cursor) -> str:
    """Return the condition of what lies after the cursor."""
    stamp, instant = plan.stamp, instant_soql(after.stamp_ms)
    if not after.record_id:
        return f"{stamp} > {instant}"
    return f"({stamp} > {instant} OR ({stamp} = {instant} AND Id > '{after.record_id}'))"


def _settled(plan: RowPlan, page: list[dict[str, Any]], until_ms: int | None) -> list[ReadRow]:
    rows = [plan.read(row) for row in page]
    return rows if until_ms is None else [row for row in rows if row.stamp_ms <= until_ms]
