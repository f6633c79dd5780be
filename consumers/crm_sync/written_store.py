"""The SQL of the rows as the org is to hold them, as the handler writes them.

Place     handler, next_invoices -> [this] -> crm_sync.written -> push_store (what the pusher does with them).
Changed   only a row whose hash is another is written; it is dirty unless it is what the org holds already, and whatever
          was wrong with it before is forgotten.
Held      a row of an account that is not known yet, or that is none of the org's, is kept and not sent.
"""

from collections.abc import Sequence

import asyncpg

from fakturo.consumers.crm_sync.rows import DesiredRow, hash_of
from fakturo.schemas.salesforce.written_fields import INVOICE_LINE

HELD = "CASE WHEN a.versions IS NULL THEN 'account_unknown' WHEN a.record_id IS NULL THEN 'foreign_account' END"
"""Why a row of the account `a` is not sent; NULL where it is."""

_CHANGED = (
    "generation = w.generation + 1, attempts = 0, retry_at = NULL, refused = false, failure = NULL, "
    "changed_at = clock_timestamp()"
)

_SAVE = f"""
INSERT INTO crm_sync.written AS w (entity, key, account, parent_key, fields, hash, held)
SELECT t.entity, t.key, t.account, t.parent_key, t.fields, t.hash, {HELD}
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[])
       AS t(entity, key, account, parent_key, fields, hash)
  LEFT JOIN crm_sync.account a ON a.account = t.account
 ORDER BY t.entity, t.key
ON CONFLICT (entity, key) DO UPDATE SET account = excluded.account, parent_key = excluded.parent_key,
       fields = excluded.fields, hash = excluded.hash, held = excluded.held,
       dirty = excluded.hash IS DISTINCT FROM w.pushed_hash, {_CHANGED}
 WHERE w.hash <> excluded.hash
"""  # noqa: S608 - made of constants

_RELEASE = f"""
UPDATE crm_sync.written w SET held = {HELD}, dirty = true, pushed_hash = NULL, {_CHANGED}
  FROM crm_sync.account a
 WHERE a.account = w.account AND w.account = ANY($1::text[])
"""  # noqa: S608 - made of constants

_GONE = f"""
SELECT w.key, w.account, w.parent_key FROM crm_sync.written w
  JOIN unnest($1::text[]) AS t(invoice_id) ON w.parent_key = t.invoice_id
 WHERE w.entity = '{INVOICE_LINE}' AND w.fields IS NOT NULL AND w.key <> ALL($2::text[]) ORDER BY w.key
"""  # noqa: S608 - made of constants


async def save(driver: asyncpg.Connection, rows: Sequence[DesiredRow]) -> None:
    """Write the rows that say something else than before."""
    if rows:
        ordered = sorted(rows, key=lambda row: (row.entity, row.key))
        await driver.execute(
            _SAVE,
            [row.entity for row in ordered],
            [row.key for row in ordered],
            [row.account for row in ordered],
            [row.parent_key for row in ordered],
            [row.stored_fields for row in ordered],
            [row.hash for row in ordered],
        )


async def release(driver: asyncpg.Connection, accounts: Sequence[str]) -> None:
    """Send all rows of `accounts`, whose record id is known since now, or is another."""
    if accounts:
        await driver.execute(_RELEASE, list(accounts))


async def gone_lines(
    driver: asyncpg.Connection, invoice_ids: Sequence[str], line_ids: Sequence[str]
) -> list[DesiredRow]:
    """Return, as rows that are not to be there, the lines of `invoice_ids` that are none of `line_ids` any more."""
    if not invoice_ids:
        return []
    return [
        DesiredRow(
            entity=INVOICE_LINE, key=row["key"], account=row["account"], parent_key=row["parent_key"], fields=None
        )
        for row in await driver.fetch(_GONE, list(invoice_ids), list(line_ids))
    ]


__all__ = ["gone_lines", "hash_of", "release", "save"]
